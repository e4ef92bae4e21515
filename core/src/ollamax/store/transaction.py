"""Adding a model to the store: all of it, or nothing."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from ollamax.errors import StoreError
from ollamax.store.blobs import STAGING, HashingSink
from ollamax.store.durable import disk_errors, flush_directory, flush_to_disk
from ollamax.store.lock import FileLock
from ollamax.store.manifest import Layer, Manifest
from ollamax.store.name import ModelName
from ollamax.store.shelf import Shelf

_CHUNK = 4 * 2**20


class Transaction:
    """Collects blobs in a directory of its own and, with ``commit``, gives them a name.

    Used in a ``with`` statement, whose end removes what was not committed. Blobs are staged beside the others, so
    that committing only renames; a lock on the directory tells others that its owner is alive. All methods raise
    StoreError when the disk is full or fails.
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._directory = shelf.blobs.directory / (STAGING + secrets.token_hex(8))
        self._alive = FileLock(self._directory / "lock")
        self._staged: dict[str, Path] = {}

    def __enter__(self) -> Self:
        # Under the store's lock, because whoever holds that may clear directories that nobody has locked.
        with disk_errors(self._shelf.root), self._shelf.locked():
            self._directory.mkdir(parents=True)
            self._alive.acquire(0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._alive.release()
        shutil.rmtree(self._directory, ignore_errors=True)  # what cannot be removed now is cleared later

    def add(self, media_type: str, writer: Callable[[HashingSink], object]) -> Layer:
        """A blob of what ``writer`` writes to the binary file that it is given."""
        path = self._directory / secrets.token_hex(8)
        with disk_errors(self._shelf.root):
            with path.open("xb") as file:
                sink = HashingSink(file)
                writer(sink)
                flush_to_disk(file)
            if sink.digest in self._staged:
                path.unlink()
            else:
                self._staged[sink.digest] = path
        return Layer(media_type, sink.digest, sink.size)

    def add_bytes(self, media_type: str, data: bytes) -> Layer:
        """A blob of ``data``."""
        return self.add(media_type, lambda sink: sink.write(data))

    def add_file(self, media_type: str, source: Path, progress: Callable[[int, int], object] | None = None) -> Layer:
        """A copy of the file ``source``; ``progress`` is called with the bytes copied and their total.

        A copy and no hard link: who changes the file later must not change the blob.
        """

        def copy(sink: HashingSink) -> None:
            with _opened(source) as file:
                total = source.stat().st_size
                while chunk := file.read(_CHUNK):
                    sink.write(chunk)
                    if progress is not None:
                        progress(sink.size, total)

        return self.add(media_type, copy)

    def commit(self, name: ModelName | str, config: Layer, layers: Sequence[Layer]) -> None:
        """Name the model; one that had the name loses it, and its blobs go unless others use them.

        Each layer was added in this transaction or is one of a model in the store.
        """
        name = ModelName.parse(name) if isinstance(name, str) else name
        manifest = Manifest(config, tuple(layers))
        shelf, data = self._shelf, manifest.to_json()
        placed: list[Path] = []
        with disk_errors(shelf.root), shelf.locked():
            name = shelf.manifests.existing(name)
            try:
                for layer in manifest.blobs:
                    self._place(layer, placed)
                flush_directory(shelf.blobs.directory)
                shelf.manifests.write(name, data)
            except BaseException:
                if not shelf.manifests.holds(name, data):
                    for path in placed:
                        path.unlink(missing_ok=True)
                raise
            shelf.sweep()

    def _place(self, layer: Layer, placed: list[Path]) -> None:
        staged = self._staged.get(layer.digest)
        if staged is None:
            self._shelf.blobs.file(layer)
            return
        path = self._shelf.blobs.path(layer.digest)
        try:
            self._shelf.blobs.file(layer)
        except StoreError:  # it is not there, or cut short: ours takes its place
            placed.append(path)
            staged.replace(path)


def _opened(source: Path) -> IO[bytes]:
    try:
        return source.open("rb")
    except OSError as error:
        raise StoreError(f"{source}: the file cannot be read: {error.strerror or error}") from error
