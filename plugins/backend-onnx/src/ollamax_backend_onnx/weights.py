"""Weights: in blocks as the runtime multiplies with them, as float32, or row by row from where they are stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ollamax.backend import StoredWeights
from ollamax.mapped_pages import drop_pages
from ollamax.ml.dtype import dequantize
from ollamax.types import DType
from ollamax_backend_onnx.packed_files import PackedFiles

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from ollamax.backend import Weight
    from ollamax.backend.base import Progress
    from ollamax_backend_onnx.packed import Packed

    Array = npt.NDArray[Any]


class Weights(StoredWeights):
    """Each form is made once, when a program first needs it, and shared by all programs."""

    def __init__(
        self,
        stored: Mapping[str, Weight],
        threads: int = 1,
        progress: Progress | None = None,
        keep: Path | None = None,
    ) -> None:
        super().__init__("onnx", stored, progress)
        self._threads, self._files = threads, PackedFiles(keep)
        self._whole: dict[str, Array] = {}
        self._packed: dict[str, Packed | None] = {}

    @property
    def directory(self) -> Path | None:
        """Where the files of packed weights lie, if there are any."""
        return self._files.directory

    def packed(self, name: str) -> Packed | None:
        """A matrix in blocks; None for one that is multiplied as float32."""
        if name not in self._packed:
            stored = self.find(name)
            packed = self._files.find(stored) or self._files.pack(stored, self._threads)
            if packed is not None:
                self._count(stored)
            self._packed[name] = packed
        return self._packed[name]

    def whole(self, name: str) -> Array:
        """The float32 values; where they are stored so, they are not copied."""
        if name not in self._whole:
            stored = self.find(name)
            if stored.dtype is DType.F32:
                values = np.require(stored.data.view(np.float32), requirements=["C", "A"]).reshape(stored.shape)
            else:
                values = dequantize(stored.data, stored.dtype, stored.shape)
            self._whole[name] = values
            self._count(stored)
        return self._whole[name]

    def release(self) -> None:
        """Remove temporary files, whose weights would be packed again for another program."""
        if self._files.release():
            self._packed.clear()

    def _count(self, stored: Weight) -> None:
        """Tell how far the conversion is, and let go of the file's pages that were read."""
        if stored.dtype is not DType.F32:
            drop_pages(stored.data)
        self.count(stored)
