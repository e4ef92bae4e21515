"""The poem architecture."""
