"""The directories of a store, its lock, and the removal of what nothing refers to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ollamax.errors import StoreError
from ollamax.store.blobs import STAGING, BlobDirectory
from ollamax.store.lock import FileLock
from ollamax.store.manifests import ManifestDirectory


class Shelf:
    """What store and transactions share. ``timeout`` is how many seconds to wait for the lock."""

    def __init__(self, root: Path, timeout: float) -> None:
        self.root, self.timeout = root, timeout
        self.blobs = BlobDirectory(root / "blobs")
        self.manifests = ManifestDirectory(root / "manifests")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """The lock that whoever changes names or blobs holds; staged blobs need none."""
        self.root.mkdir(parents=True, exist_ok=True)
        with FileLock(self.root / "lock") as lock:
            lock.acquire(self.timeout)
            yield

    def sweep(self) -> None:
        """Remove blobs that no manifest refers to, and what processes that died have left; needs the lock."""
        self.manifests.clear_leftovers()
        for directory in self.blobs.directory.glob(f"{STAGING}*"):
            if _is_dead(directory):
                shutil.rmtree(directory, ignore_errors=True)
        for digest in self._unused():
            with suppress(PermissionError):  # Windows keeps files that are in use; a later sweep gets them
                self.blobs.path(digest).unlink(missing_ok=True)
        for path in list(self.blobs.compiled()):  # a load may have gone on when the blob of its model went
            if not self.blobs.directory.joinpath(path.name).exists():
                _remove(path)

    def _unused(self) -> set[str]:
        """The digests of blobs that no manifest refers to."""
        used: set[str] = set()
        for name in self.manifests.names():
            try:
                stored = self.manifests.read(name)
            except StoreError:
                return set()  # what a damaged manifest refers to is unknown, so no blob is known to be unused
            if stored is not None:
                used.update(layer.digest for layer in stored.manifest.blobs)
        return set(self.blobs.digests()) - used


def _remove(path: Path) -> None:
    """Remove a directory, or what is in its place, as far as the platform lets one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _is_dead(staging: Path) -> bool:
    """Whether no process holds the lock of a transaction's directory."""
    with FileLock(staging / "lock") as lock:
        try:
            return lock.try_acquire()
        except FileNotFoundError:  # its owner removes it just now
            return False
