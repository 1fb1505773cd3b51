"""A dataset becomes pictures, and forgets who it was."""
