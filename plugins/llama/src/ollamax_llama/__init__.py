"""The llama architecture."""
