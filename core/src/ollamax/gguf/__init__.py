"""GGUF files as bytes: a checked reader, a writer, and typed access to metadata."""

from ollamax.gguf.metadata import Metadata
from ollamax.gguf.reader import GGUFFile, open_gguf
from ollamax.gguf.writer import write_gguf, write_gguf_to

__all__ = ["GGUFFile", "Metadata", "open_gguf", "write_gguf", "write_gguf_to"]
