"""The qwen2 architecture."""
