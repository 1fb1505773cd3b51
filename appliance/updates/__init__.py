"""Updates: another version goes into the free slot, is tried, and stays or goes by itself."""
