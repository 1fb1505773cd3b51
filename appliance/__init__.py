"""The netty box: fetches the studies it lacks, removes who they were, and renders them."""

__version__ = "0.1.0"
