"""Whose images are fetched, and when."""
