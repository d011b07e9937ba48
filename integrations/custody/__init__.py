"""Keepers of evidence outside of the house."""
