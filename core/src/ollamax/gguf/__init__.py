"""GGUF files as bytes: a checked reader, a writer, and typed access to metadata."""

from ollamax.gguf.reader import GGUFFile, open_gguf

__all__ = ["GGUFFile", "open_gguf"]
