"""The phi3 architecture."""
