"""Reading GGUF files (versions 2 and 3, little-endian) through a memory map."""

from __future__ import annotations

import mmap
import stat
from collections.abc import Mapping
from contextlib import suppress
from os import PathLike
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ollamax.errors import GGUFError
from ollamax.gguf.alignment import ALIGNMENT_KEY, alignment_of
from ollamax.gguf.cursor import Cursor
from ollamax.gguf.quote import shown
from ollamax.gguf.signature import MAGIC, describe
from ollamax.gguf.tensor_table import SMALLEST_TENSOR, read_name, read_tensor_table
from ollamax.types import TensorInfo

VERSIONS = (2, 3)
# A key's length and one character, a value type, a value of one byte.
_SMALLEST_ENTRY = 8 + 1 + 4 + 1


class GGUFFile:
    """An open GGUF file; a ``TensorSource``.

    Format: ggml's docs/gguf.md. Nothing in the file is believed: lengths, counts, types, offsets and names
    are checked before use, and the first fault raises GGUFError with the key or tensor and the byte offset.

    ``metadata`` holds plain Python values: str, int, float, bool, read-only NumPy arrays of numbers, lists of
    strings or of arrays. ``typed_metadata`` is the same with NumPy scalars, so that the writer keeps types.
    ``nbytes`` is the size of the file, ``alignment`` that of tensor data. Deliberate choices:

    - Keys, tensor names and all strings, a vocabulary's too, must be UTF-8, as the specification says.
    - Tensor names of more than the specified 64 bytes are accepted.
    - Gaps between tensors are accepted, overlaps are not; padding after the last tensor may be missing.
    - Everything before the tensor data must fit in 256 MiB.

    A file must not be cut short while it is open: the operating system kills a process that touches mapped
    pages which are gone.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        """Open and check the file at ``path``; tensor data is not read."""
        self.path = Path(path)
        self._map = _map(self.path)
        self._closed = False
        self.nbytes = len(self._map)
        try:
            cursor = Cursor(str(self.path), self._map)
            self.version = _read_version(cursor)
            n_tensors = cursor.count("header", "the number of tensors", SMALLEST_TENSOR)
            n_entries = cursor.count("header", "the number of metadata entries", _SMALLEST_ENTRY)
            typed, places = _read_metadata(cursor, n_entries)
            try:
                self.alignment = alignment_of(typed)
            except ValueError as error:
                raise cursor.error(str(error), f"key {ALIGNMENT_KEY!r}", places[ALIGNMENT_KEY]) from None
            tensors, self._offsets = read_tensor_table(cursor, n_tensors, self.alignment)
        except BaseException:
            self.close()
            raise
        self.tensors: Mapping[str, TensorInfo] = MappingProxyType(tensors)
        self.typed_metadata: Mapping[str, Any] = MappingProxyType(typed)
        self.metadata: Mapping[str, Any] = MappingProxyType(
            {key: value.item() if isinstance(value, np.generic) else value for key, value in typed.items()}
        )

    def offset(self, name: str) -> int:
        """Where the bytes of tensor ``name`` begin in the file."""
        return self._offsets[name]

    def tensor_bytes(self, name: str) -> npt.NDArray[np.uint8]:
        """The stored bytes of tensor ``name``: uint8, flat, read-only, a view of the map."""
        if self._closed:
            raise GGUFError(self.path, "the file was closed", f"tensor {shown(name)}")
        return np.frombuffer(self._map, np.uint8, self.tensors[name].nbytes, self._offsets[name])

    def close(self) -> None:
        """Release the file. Views that were handed out keep the map itself alive, so they never dangle."""
        self._closed = True
        with suppress(BufferError):  # views exist; the map goes with the last of them
            self._map.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_gguf(path: str | PathLike[str]) -> GGUFFile:
    """Open a GGUF file; raises GGUFError if it cannot be read or breaks the format."""
    return GGUFFile(path)


def _map(path: Path) -> mmap.mmap:
    try:
        # Asked before opening, because opening a named pipe blocks.
        if not stat.S_ISREG(path.stat().st_mode):
            raise GGUFError(path, "a GGUF file was expected, and this is no regular file")
        with path.open("rb") as file:
            head = file.read(64)
            if not head.startswith(MAGIC):
                raise GGUFError(path, f"not a GGUF file but {describe(head)}" if head else "the file is empty")
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (
        OSError,
        ValueError,
    ) as error:  # ValueError: a NUL in the path, or a file that was emptied meanwhile
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise GGUFError(path, f"cannot be opened: {reason}") from error


def _read_version(cursor: Cursor) -> int:
    cursor.skip(len(MAGIC))
    version = cursor.u32("header", "the version")
    if version in VERSIONS:
        return version
    if version and version & 0xFFFF == 0:
        problem = "the file is big-endian; only little-endian files are supported, so convert it again"
    elif version == 1:
        problem = "GGUF version 1 is obsolete; convert the model again"
    else:
        problem = f"GGUF version {version} is not supported (2 and 3 are)"
    raise cursor.error(problem, "header", len(MAGIC))


def _read_metadata(cursor: Cursor, count: int) -> tuple[dict[str, Any], dict[str, int]]:
    """The values with their types, and where each entry begins."""
    values: dict[str, Any] = {}
    places: dict[str, int] = {}
    for index in range(count):
        start = cursor.offset
        key = read_name(cursor, "key", f"metadata entry {index} of {count}")
        if key in values:
            raise cursor.error("the key occurs twice", f"key {shown(key)}", start)
        values[key] = cursor.value(f"key {shown(key)}")
        places[key] = start
    return values, places
