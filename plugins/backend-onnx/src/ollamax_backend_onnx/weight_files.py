"""Files of weights that are multiplied with: the runtime maps each, and lets go of it once it has packed it."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import stat
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ollamax.errors import one_line
from ollamax.ml.dtype import dequantize
from ollamax_backend_onnx.blocks import dequantize_rows, form_of, pack, pack_in_memory
from ollamax_backend_onnx.runtime import runtime

if TYPE_CHECKING:
    import numpy.typing as npt

    from ollamax.backend import Weight
    from ollamax_backend_onnx.blocks import Put
    from ollamax_backend_onnx.packed import Form, Packed

    Array = npt.NDArray[Any]

WEIGHTS_FILE = "weights.empty"
"""The file that large weights are said to lie in which the runtime is given as arrays.

It lies in the directory of the files; the package has one beside its modules, for sessions without any.
"""
_SMALL = 1 << 16
"""Bytes that are not worth a temporary file."""
_UNFINISHED, _TEMPORARY = "unfinished-", "ollamax-onnx-"
_NOT_UTF8 = "the runtime takes paths in UTF-8 alone"
_ABANDONED = 24 * 3600
"""Seconds; a load takes some, but a computer may sleep in the middle of one."""


class WeightFiles:
    """Files below ``directory``, which belongs to the weights of one model; None: temporary ones, until ``release``.

    Kept files are in a directory of their own for each version of this package and of the runtime; where that cannot be
    made, which is a warning, they are temporary. A file is there once it is whole and, if kept, on the disk; one of
    another size counts as none. One that cannot be written is not an error: the weight is made in memory, of which the
    runtime cannot let go.
    """

    def __init__(self, directory: Path | None) -> None:
        versions = f"onnx-{version('ollamax-backend-onnx')}-{runtime().__version__}" if directory else ""
        self._directory = directory / versions if directory else None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._kept, self._ready = directory is not None, False
        if self._directory is not None and not _is_utf8(self._directory):
            self._keep_none(_NOT_UTF8)

    @property
    def directory(self) -> Path | None:
        """Where the files of all weights lie, side by side, ``WEIGHTS_FILE`` too; None where there are none."""
        return self._directory if self._directory is not None and (self._directory / WEIGHTS_FILE).is_file() else None

    def packed(self, weight: Weight, threads: int) -> Packed | None:
        """A weight in blocks; None for one that has no such form."""
        form = form_of(weight)
        if form is None:
            return None
        data = self._data(_name("centred", weight), form.nbytes, lambda put: pack(weight, form, put, threads))
        if data is None:
            return pack_in_memory(weight, form, threads)
        packed = form.packed(data, Path(str(data.filename)))
        return packed if self._kept else _with_own_scales(packed, form)

    def whole(self, weight: Weight, threads: int) -> tuple[Array, Path | None]:
        """A weight as float32, and the file that holds nothing else, if there is one."""

        def write(put: Put) -> bool:
            dequantize_rows(weight, put, threads)
            return True

        data = self._data(_name("float32", weight), 4 * math.prod(weight.shape), write)
        if data is None:
            return dequantize(weight.data, weight.dtype, weight.shape), None
        return data.view(np.float32).reshape(weight.shape), Path(str(data.filename))

    def remove(self, file: Path | None) -> None:
        """Remove a temporary file, if the platform lets one remove what may still be mapped."""
        if file is not None and not self._kept:
            with suppress(OSError):
                file.unlink()

    def release(self) -> None:
        """Remove all temporary files."""
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = self._directory = None
            self._ready = False

    def _data(self, name: str, nbytes: int, write: Callable[[Put], bool]) -> np.memmap[Any, Any] | None:
        """What a file holds, which is written if it is not there; None if it cannot be."""
        if not self._kept and nbytes <= _SMALL:
            return None
        found = self._find(name, nbytes)
        if found is None and self._make(name, write):
            found = self._find(name, nbytes)
        return found

    def _find(self, name: str, nbytes: int) -> np.memmap[Any, Any] | None:
        directory = self.directory
        try:
            if directory is None or not stat.S_ISREG((directory / name).lstat().st_mode):  # the runtime follows no link
                return None
            data = np.memmap(directory / name, np.uint8, "r")
        except (OSError, ValueError):
            return None
        return data if data.size == nbytes else None

    def _make(self, name: str, write: Callable[[Put], bool]) -> bool:
        """Write a file, which is whole or not there at all; whether it was."""
        try:
            directory = self._prepare()
            with tempfile.TemporaryDirectory(
                prefix=_UNFINISHED, dir=directory, ignore_cleanup_errors=True
            ) as unfinished:
                partial = Path(unfinished) / name
                if not _write(partial, write, self._kept):
                    return False
                partial.replace(directory / name)
        except OSError:
            return False
        return True

    def _prepare(self) -> Path:
        if self._directory is not None and not self._ready:
            try:
                self._fill(self._directory)
            except OSError as error:
                if self.directory is not None:  # files that are there may be in use
                    raise
                self._keep_none(error.strerror or str(error))
        if self._directory is None:
            place = Path(tempfile.gettempdir()).resolve()
            if not _is_utf8(place):
                raise OSError(_NOT_UTF8)
            _remove_leftovers(place, _TEMPORARY)
            self._temporary = tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=place, ignore_cleanup_errors=True)
            self._directory = Path(self._temporary.name)
            self._fill(self._directory)
        return self._directory

    def _fill(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / WEIGHTS_FILE).touch()
        _remove_leftovers(directory, _UNFINISHED)
        self._ready = True

    def _keep_none(self, why: str) -> None:
        """Go on with temporary files, of which none that is kept may be in use yet."""
        message = f"{self._directory}: weights cannot be kept ({one_line(why, 200)})"
        warnings.warn(f"{message}; mend that, or unset OLLAMAX_KEEP_COMPILED", RuntimeWarning, stacklevel=2)
        self._kept, self._directory = False, None


def _is_utf8(path: Path) -> bool:
    """Whether the runtime can be told of a path."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _with_own_scales(packed: Packed, form: Form) -> Packed:
    """Scales in memory: the runtime uses them as they lie, and would keep the file on the disk until it ends."""
    _, place, *_ = form.places(0)
    assert packed.file is not None
    scales = np.fromfile(packed.file, np.float32, packed.scales.size, offset=place).reshape(packed.scales.shape)
    return replace(packed, scales=scales, mapped=packed.mapped - {"scales"})


def _remove_leftovers(directory: Path, prefix: str) -> None:
    """What this user's processes that were killed left; others may be at work."""
    for path in directory.glob(f"{prefix}*"):
        with suppress(OSError, RecursionError):  # anybody may put something into a temporary directory
            found = path.lstat()
            own = not hasattr(os, "getuid") or found.st_uid == os.getuid()
            if own and time.time() - found.st_mtime > _ABANDONED:
                shutil.rmtree(path)


def _write(path: Path, write: Callable[[Put], bool], durable: bool) -> bool:
    lock = threading.Lock()
    with path.open("wb") as file:

        def put(place: int, array: Array) -> None:
            with lock:
                file.seek(place)
                file.write(array.data)

        made = write(put)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    return made


def _name(form: str, weight: Weight) -> str:
    """A name that says nothing of the tensor's, which comes from a file and may be any text."""
    text = f"{form} {weight.dtype.name} {weight.shape} {weight.name}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
