"""Weights in blocks that are kept in files, so that they need not be packed again when a model is next loaded."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ollamax_backend_onnx.blocks import LAYOUTS, Packed

if TYPE_CHECKING:
    import numpy.typing as npt

    from ollamax.backend import Weight

    Array = npt.NDArray[Any]


class Kept:
    """Files below ``directory``, which belongs to the weights of one model; None keeps nothing.

    Each version of this package and of the runtime has a directory of its own. A file that is damaged counts as none,
    and one that cannot be written is not an error.
    """

    def __init__(self, directory: Path | None) -> None:
        versions = f"onnx-{version('ollamax-backend-onnx')}-{version('onnxruntime')}" if directory else ""
        self._directory = directory / versions if directory else None

    @property
    def directory(self) -> Path | None:
        """Where the files of all weights lie, side by side; None where nothing is kept."""
        return self._directory if self._directory is not None and self._directory.is_dir() else None

    def find(self, weight: Weight) -> Packed | None:
        """What was kept of a weight, mapped from its file."""
        layout = LAYOUTS.get(weight.dtype)
        if self._directory is None or layout is None:
            return None
        out, count = weight.shape[0], weight.shape[1] // layout.block
        first, each = out * count * layout.block * layout.bits // 8, out * count * 4
        file = self._directory / _file(weight)
        try:
            data = np.memmap(file, np.uint8, "r")
        except (OSError, ValueError):
            return None
        if data.size not in (first + each, first + 2 * each):
            return None
        scales, offsets = (data[at : at + each].view(np.float32) for at in (first, first + each))
        return Packed(
            layout.bits,
            layout.block,
            data[:first].reshape(out, count, -1),
            scales.reshape(out, count),
            offsets.reshape(out, count) if offsets.size else None,
            file,
        )

    def add(self, weight: Weight, packed: Packed) -> Packed:
        """Keep a weight, and give it as it is kept; the file is whole, or is not there."""
        if self._directory is None:
            return packed
        with suppress(OSError):
            self._directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._directory, ignore_cleanup_errors=True) as unfinished:
                partial = Path(unfinished) / _file(weight)
                with partial.open("wb") as file:
                    for part in packed.parts.values():
                        part.tofile(file)
                partial.replace(self._directory / partial.name)
        return self.find(weight) or packed


def _file(weight: Weight) -> str:
    """A name that says nothing of the tensor's, which comes from a file and may be any text."""
    text = f"{weight.dtype.name} {weight.shape} {weight.name}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
