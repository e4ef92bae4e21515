"""Files of weights in blocks: the runtime maps each, and lets go of it once it has packed it."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import replace
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
"""The file that large weights are said to lie in which the runtime is given as arrays.

It lies in the directory of the files; the package has one beside its modules, for sessions without any.
"""
_SMALL = 1 << 16
"""Bytes that are not worth a temporary file."""
_UNFINISHED, _TEMPORARY = "unfinished-", "ollamax-onnx-"
_ABANDONED = 3600
"""Seconds; packing one weight takes a few, and a model some more."""


class PackedFiles:
    """Files below ``directory``, which belongs to the weights of one model; None: temporary ones, until ``release``.

    Kept files are in a directory of their own for each version of this package and of the runtime. A file is there once
    it is whole and, if kept, on the disk; one of another size counts as none, and one that cannot be written is not an
    error: the weight is packed in memory, of which the runtime cannot let go.
    """

    def __init__(self, directory: Path | None) -> None:
        versions = f"onnx-{version('ollamax-backend-onnx')}-{runtime().__version__}" if directory else ""
        self._directory = directory / versions if directory else None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._kept, self._ready = directory is not None, False

    @property
    def directory(self) -> Path | None:
        """Where the files of all weights lie, side by side, ``WEIGHTS_FILE`` too; None where there are none."""
        return self._directory if self._directory is not None and (self._directory / WEIGHTS_FILE).is_file() else None

    def find(self, weight: Weight) -> Packed | None:
        """A weight that there is a file of, mapped from it."""
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
        if data.size != form.nbytes:
            return None
        packed = form.packed(data, file)
        return packed if self._kept else _with_own_scales(packed, form, file)

    def pack(self, weight: Weight, threads: int) -> Packed | None:
        """Pack a weight, into a file if it is not small; None for one that has no such form.

        A file is whole, or is not there.
        """
        form = form_of(weight)
        if form is None:
            return None
        if not self._kept and form.nbytes <= _SMALL:
            return pack_in_memory(weight, form, threads)
        try:
            directory = self._prepare()
            with tempfile.TemporaryDirectory(
                prefix=_UNFINISHED, dir=directory, ignore_cleanup_errors=True
            ) as unfinished:
                partial = Path(unfinished) / _file(weight)
                if not _write(partial, weight, form, threads, self._kept):
                    return None
                partial.replace(directory / partial.name)
        except OSError:
            return pack_in_memory(weight, form, threads)
        return self.find(weight) or pack_in_memory(weight, form, threads)

    def release(self) -> bool:
        """Remove temporary files; whether there were any."""
        if self._temporary is None:
            return False
        self._temporary.cleanup()
        self._temporary = self._directory = None
        self._ready = False
        return True

    def _prepare(self) -> Path:
        if self._directory is None:
            _remove_leftovers(Path(tempfile.gettempdir()), _TEMPORARY)
            self._temporary = tempfile.TemporaryDirectory(prefix=_TEMPORARY, ignore_cleanup_errors=True)
            self._directory = Path(self._temporary.name).resolve()
        if not self._ready:
            self._directory.mkdir(parents=True, exist_ok=True)
            (self._directory / WEIGHTS_FILE).touch()
            _remove_leftovers(self._directory, _UNFINISHED)
            self._ready = True
        return self._directory


def _with_own_scales(packed: Packed, form: Form, file: Path) -> Packed:
    """Scales in memory: the runtime uses them as they lie, and would keep the file on the disk until it ends."""
    _, place, *_ = form.places(0)
    scales = np.fromfile(file, np.float32, packed.scales.size, offset=place).reshape(packed.scales.shape)
    return replace(packed, scales=scales, mapped=packed.mapped - {"scales"})


def _remove_leftovers(directory: Path, prefix: str) -> None:
    """What processes that were killed left; others may be at work."""
    for path in directory.glob(f"{prefix}*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED:
                shutil.rmtree(path)


def _write(path: Path, weight: Weight, form: Form, threads: int, durable: bool) -> bool:
    lock = threading.Lock()
    with path.open("wb") as file:

        def put(place: int, array: Array) -> None:
            with lock:
                file.seek(place)
                file.write(array.data)

        made = pack(weight, form, put, threads)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    return made


def _file(weight: Weight) -> str:
    """A name that says nothing of the tensor's, which comes from a file and may be any text."""
    text = f"{weight.dtype.name} {weight.shape} {weight.name}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
