"""The zip archive that torch.save writes: where its records lie in the file, without unpacking.

The standard library's zipfile reads the directory at the end of the archive; what it says is then checked
against the file, since the records are used as views of the mapped file. Layout (torch's serialization notes): one
folder with ``data.pkl``, ``byteorder`` and the storages ``data/0``, ``data/1``, ..., all stored, none compressed.
"""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from ollamax.errors import CheckpointError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]

# zipfile makes an object of half a kilobyte of each of the directory's entries, which have some hundred bytes.
_LARGEST_DIRECTORY = 16 << 20
_LOCAL = struct.Struct("<4s22xHH")  # signature, what the directory says too, length of the name and of the extra field
_SIGNATURE = b"PK\x03\x04"
_ENCRYPTED = 1


class _Bounded(io.FileIO):
    """A file that does not read much at once."""

    def read(self, size: int | None = -1, /) -> bytes:
        some = size is not None and 0 <= size <= _LARGEST_DIRECTORY
        data = super().read(size if some else _LARGEST_DIRECTORY + 1) or b""
        if len(data) > _LARGEST_DIRECTORY:
            raise zipfile.BadZipFile(f"a directory of more than {_LARGEST_DIRECTORY} bytes")
        return data


class TorchArchive:
    """The records of an archive by their names inside its folder: ``span("data/0")`` is the slice of the file's bytes.

    Raises CheckpointError when the file is no such archive, a record is compressed, encrypted, outside the file or
    overlaps another, or the values are big-endian.
    """

    def __init__(self, path: Path, data: Bytes) -> None:
        self._path = path
        entries, end = self._read_directory()
        spans = {entry.orig_filename: self._locate(entry, data, end) for entry in entries}
        if len(spans) != len(entries):
            raise CheckpointError(path, "two records of one name")
        self._check_apart(spans)
        folders = [name.removesuffix("/data.pkl") for name in spans if name.endswith("/data.pkl")]
        if len(folders) != 1 or any(name.startswith(f"{folders[0]}/code/") for name in spans):
            kind = "a TorchScript archive" if folders else "a zip archive without a data.pkl"
            raise CheckpointError(path, f"{kind}; a state dict that torch.save wrote was expected")
        self._spans = {name.removeprefix(f"{folders[0]}/"): span for name, span in spans.items()}
        order = self._spans.get("byteorder")
        if order is not None and data[order].tobytes() != b"little":
            raise CheckpointError(path, "its values are not little-endian; save it again on another machine")

    def span(self, name: str) -> slice:
        """Where the record lies; CheckpointError if there is none of that name."""
        if name not in self._spans:
            raise CheckpointError(self._path, "is missing from the archive", where=f"record {ascii(name)[:80]}")
        return self._spans[name]

    def _read_directory(self) -> tuple[list[zipfile.ZipInfo], int]:
        """The entries, and where the directory begins."""
        try:
            with _Bounded(self._path) as file, zipfile.ZipFile(file) as archive:
                return archive.infolist(), archive.start_dir
        except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, OSError) as error:
            raise CheckpointError(self._path, f"damaged or truncated archive: {error}") from error

    def _locate(self, entry: zipfile.ZipInfo, data: Bytes, end: int) -> slice:
        name = f"record {ascii(entry.orig_filename)[:80]}"
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise CheckpointError(self._path, "is compressed, which torch.save never does", where=name)
        if entry.flag_bits & _ENCRYPTED:
            raise CheckpointError(self._path, "is encrypted", where=name)
        begin = entry.header_offset
        if not 0 <= begin <= end - _LOCAL.size:
            raise CheckpointError(self._path, "lies outside the file", where=name, offset=begin)
        signature, name_size, extra_size = _LOCAL.unpack(data[begin : begin + _LOCAL.size].tobytes())
        start = begin + _LOCAL.size + name_size + extra_size
        if signature != _SIGNATURE or start + entry.file_size > end:
            raise CheckpointError(self._path, "lies outside the file", where=name, offset=begin)
        return slice(start, start + entry.file_size)

    def _check_apart(self, spans: dict[str, slice]) -> None:
        reached = 0
        for name, span in sorted(spans.items(), key=lambda item: (item[1].start, item[1].stop)):
            if span.start < reached:
                raise CheckpointError(self._path, "overlaps another", where=f"record {ascii(name)[:80]}")
            reached = span.stop
