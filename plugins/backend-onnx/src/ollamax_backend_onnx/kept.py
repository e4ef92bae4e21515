"""Weights in blocks that are kept in files, so that they need not be packed again when a model is next loaded."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ollamax_backend_onnx.blocks import form_of, pack, pack_in_memory
from ollamax_backend_onnx.runtime import runtime

if TYPE_CHECKING:
    import numpy.typing as npt

    from ollamax.backend import Weight
    from ollamax_backend_onnx.packed import Form, Packed

    Array = npt.NDArray[Any]

WEIGHTS_FILE = "weights.empty"
"""The file that a session's large weights are said to lie in; the runtime is given them otherwise.

The package has one beside its modules, for sessions without kept weights.
"""
_UNFINISHED = "unfinished-"
_ABANDONED = 3600
"""Seconds; packing one weight takes a few."""


class Kept:
    """Files below ``directory``, which belongs to the weights of one model; None keeps nothing.

    Each version of this package and of the runtime has a directory of its own. A file is there once it is whole and on
    the disk; one of another size counts as none, and one that cannot be written is not an error.
    """

    def __init__(self, directory: Path | None) -> None:
        versions = f"onnx-{version('ollamax-backend-onnx')}-{runtime().__version__}" if directory else ""
        self._directory = directory / versions if directory else None
        self._ready = False

    @property
    def directory(self) -> Path | None:
        """Where the files of all weights lie, side by side, ``WEIGHTS_FILE`` too; None where nothing is kept."""
        return self._directory if self._directory is not None and (self._directory / WEIGHTS_FILE).is_file() else None

    def find(self, weight: Weight) -> Packed | None:
        """What was kept of a weight, mapped from its file."""
        form, directory = form_of(weight), self.directory
        if directory is None or form is None:
            return None
        file = directory / _file(weight)
        if file.is_symlink():  # the runtime follows none
            return None
        try:
            data = np.memmap(file, np.uint8, "r")
        except (OSError, ValueError):
            return None
        return form.packed(data, file) if data.size == form.nbytes else None

    def pack(self, weight: Weight, threads: int) -> Packed | None:
        """Pack a weight, and keep it; None for one that has no such form. Its file is whole, or is not there."""
        form = form_of(weight)
        if form is None:
            return None
        if self._directory is None:
            return pack_in_memory(weight, form, threads)
        try:
            self._prepare(self._directory)
            with tempfile.TemporaryDirectory(
                prefix=_UNFINISHED, dir=self._directory, ignore_cleanup_errors=True
            ) as unfinished:
                partial = Path(unfinished) / _file(weight)
                if not _write(partial, weight, form, threads):
                    return None
                partial.replace(self._directory / partial.name)
        except OSError:
            return pack_in_memory(weight, form, threads)
        return self.find(weight) or pack_in_memory(weight, form, threads)

    def _prepare(self, directory: Path) -> None:
        if not self._ready:
            directory.mkdir(parents=True, exist_ok=True)
            (directory / WEIGHTS_FILE).touch()
            _remove_leftovers(directory)
            self._ready = True


def _remove_leftovers(directory: Path) -> None:
    """What processes that were killed did not finish; others may be at work."""
    for path in directory.glob(f"{_UNFINISHED}*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED:
                shutil.rmtree(path)


def _write(path: Path, weight: Weight, form: Form, threads: int) -> bool:
    lock = threading.Lock()
    with path.open("wb") as file:

        def put(place: int, array: Array) -> None:
            with lock:
                file.seek(place)
                file.write(array.data)

        made = pack(weight, form, put, threads)
        file.flush()
        os.fsync(file.fileno())
    return made


def _file(weight: Weight) -> str:
    """A name that says nothing of the tensor's, which comes from a file and may be any text."""
    text = f"{weight.dtype.name} {weight.shape} {weight.name}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
