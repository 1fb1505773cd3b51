"""Removes the patient's identity from a dataset, in memory."""
