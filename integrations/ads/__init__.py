"""Advertisers whose own forms take leads for us."""
