"""GGUF files as bytes: a checked reader, a writer, and typed access to metadata."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ollamax.gguf.metadata import Metadata

if TYPE_CHECKING:
    from ollamax.gguf.reader import GGUFFile, open_gguf
    from ollamax.gguf.writer import write_gguf, write_gguf_to

__all__ = ["GGUFFile", "Metadata", "open_gguf", "write_gguf", "write_gguf_to"]

# Reader and writer need NumPy, which commands that only look at classes do without.
_HOMES = {"GGUFFile": "reader", "open_gguf": "reader", "write_gguf": "writer", "write_gguf_to": "writer"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"ollamax.gguf.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
