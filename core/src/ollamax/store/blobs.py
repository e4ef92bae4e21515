"""Blobs: files named by the SHA-256 of what they hold, ``blobs/sha256-<64 hex digits>``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from ollamax.errors import StoreError
from ollamax.store.manifest import Layer, check_digest

# Begins the names of directories beside the blobs, in which new ones are staged.
STAGING = ".transaction-"
# Templates, licences and the like are read whole.
MAX_TEXT_BYTES = 16 * 2**20
_FILE = re.compile(r"sha256-[0-9a-f]{64}")


class HashingSink:
    """A binary file that is hashed as it is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: Any, /) -> int:
        """Write all of ``data``, a bytes-like object; returns its length in bytes."""
        self._hash.update(data)
        self._file.write(data)
        length = memoryview(data).nbytes
        self.size += length
        return length

    @property
    def digest(self) -> str:
        """``sha256:`` and the hash of what was written so far."""
        return f"sha256:{self._hash.hexdigest()}"


class BlobDirectory:
    """The blobs of one store."""

    def __init__(self, path: Path) -> None:
        self.directory = path

    def path(self, digest: str) -> Path:
        """Where the blob lies, or would lie; raises NameInvalidError for what is no digest."""
        return self.directory / check_digest(digest).replace(":", "-")

    def file(self, layer: Layer) -> Path:
        """The blob's file, which is there and has the layer's size; raises StoreError."""
        path = self.path(layer.digest)
        size = path.stat().st_size if path.is_file() else None
        if size != layer.size:
            found = "is missing" if size is None else f"has {size} bytes instead of {layer.size}"
            raise StoreError(f"{path}: the blob {found}; create the model anew, or remove it")
        return path

    def read(self, layer: Layer) -> bytes:
        """What the blob holds, checked against its digest; raises StoreError."""
        path = self.file(layer)
        if layer.size > MAX_TEXT_BYTES:
            raise StoreError(f"{path}: the blob is {layer.size} bytes of text; {MAX_TEXT_BYTES} are allowed")
        try:
            data = path.read_bytes()
        except OSError as error:
            raise StoreError(f"{path}: the blob cannot be read: {error.strerror or error}") from error
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != layer.digest:
            raise StoreError(f"{path}: the blob does not hold what its name says; create the model anew, or remove it")
        return data

    def digests(self) -> Iterator[str]:
        """All blobs that are there."""
        for path in _named_by_digest(self.directory):
            yield path.name.replace("-", ":", 1)

    def compiled(self) -> Iterator[Path]:
        """What there is at the places of ``compiled_directory``, of blobs that are there and that are not."""
        return _named_by_digest(compiled_directory(self.directory / "any").parent)


def _named_by_digest(directory: Path) -> Iterator[Path]:
    if directory.is_dir():
        for path in directory.iterdir():
            if _FILE.fullmatch(path.name):
                yield path


def compiled_directory(blob: Path) -> Path:
    """Where backends keep what they made of a blob; it goes when the blob goes."""
    return blob.parent.parent / "compiled" / blob.name
