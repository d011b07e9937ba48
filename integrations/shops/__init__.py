"""Shops: their carts and orders."""
