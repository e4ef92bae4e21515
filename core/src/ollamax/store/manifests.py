"""The directory of manifests: ``manifests/<host>/<namespace>/<model>/<tag>``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

from ollamax.errors import NameInvalidError, StoreError
from ollamax.store.durable import TEMPORARY, write_atomically
from ollamax.store.manifest import MAX_BYTES, Manifest, damaged, read_manifest
from ollamax.store.name import ModelName


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest as found on disk; ``digest`` is the SHA-256 of its file in hex, ``modified`` a POSIX time."""

    manifest: Manifest
    data: bytes
    digest: str
    modified: float


class ManifestDirectory:
    """The manifests of one store."""

    def __init__(self, path: Path) -> None:
        self.directory = path

    def path(self, name: ModelName) -> Path:
        """Where the manifest of exactly this name lies, or would lie."""
        return self.directory / name.path

    def existing(self, name: ModelName) -> ModelName:
        """``name`` as it is spelled in the store, part by part, where that differs in case only, as in Ollama.

        Without it, Demo and demo would be two models on one file system and one on the next.
        """
        parts: list[str] = []
        for part in astuple(name):
            entries = sorted(_entries(self.directory.joinpath(*parts)))
            same = [entry for entry in entries if entry.isascii() and entry.lower() == part.lower()]
            parts.append(part if part in entries or not same else same[0])
        return ModelName(*parts)

    def names(self) -> list[ModelName]:
        """The names of all manifests, readable or not. Files that are not named like one are none."""
        found = []
        for path in self.directory.glob("*/*/*/*"):
            with suppress(NameInvalidError):
                name = ModelName(*path.relative_to(self.directory).parts)
                if path.is_file():
                    found.append(name)
        return sorted(found)

    def read(self, name: ModelName) -> StoredManifest | None:
        """The manifest of exactly this name, or None; raises StoreError where it is damaged."""
        path = self.path(name)
        try:
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
            modified = path.stat().st_mtime
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreError(f"{path}: the manifest cannot be read: {error.strerror or error}") from error
        if len(data) > MAX_BYTES:
            raise damaged(path, f"it has more than {MAX_BYTES} bytes")
        return StoredManifest(read_manifest(data, path), data, hashlib.sha256(data).hexdigest(), modified)

    def write(self, name: ModelName, data: bytes) -> None:
        """Make ``data`` the manifest of ``name``, all or nothing."""
        path = self.path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, data)
        finally:
            self._prune(path.parent)

    def holds(self, name: ModelName, data: bytes) -> bool:
        """Whether the manifest of ``name`` is ``data``."""
        path = self.path(name)
        return path.is_file() and path.read_bytes() == data

    def remove(self, name: ModelName) -> None:
        """Remove the manifest of ``name`` and the directories that it leaves empty."""
        path = self.path(name)
        path.unlink()
        self._prune(path.parent)

    def clear_leftovers(self) -> None:
        """Remove what processes that died while they wrote a manifest have left; the store must be locked."""
        for path in self.directory.glob(f"*/*/*/{TEMPORARY}*"):
            path.unlink(missing_ok=True)

    def _prune(self, directory: Path) -> None:
        with suppress(OSError):  # not empty
            while directory != self.directory:
                directory.rmdir()
                directory = directory.parent


def _entries(directory: Path) -> Iterator[str]:
    if directory.is_dir():
        yield from (path.name for path in directory.iterdir())
