"""What crosses the wire: associations, presentation contexts, DIMSE services."""
