"""Weights: in blocks, as float32, or row by row from where they are stored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ollamax.errors import BackendError
from ollamax.mapped_pages import drop_pages
from ollamax.ml.dtype import dequantize
from ollamax_backend_metal.blocks import Packed, pack

if TYPE_CHECKING:
    from ollamax.backend import Weight
    from ollamax.backend.base import Array, Progress
    from ollamax_backend_metal.device import MLXDevice


class Weights:
    """Each form is made once, when a program first needs it, and shared by all programs."""

    def __init__(self, stored: Mapping[str, Weight], device: MLXDevice, progress: Progress | None = None) -> None:
        self._stored, self._device, self._progress = stored, device, progress
        self._matrices: dict[str, Packed | Any] = {}
        self._whole: dict[str, Any] = {}
        self._counted: dict[str, int] = {}

    def matrix(self, name: str) -> Packed | Any:
        """What ``linear`` multiplies with: a matrix in blocks, or an array of float32."""
        if name not in self._matrices:
            stored = self.find(name)
            packed = pack(stored)
            if packed is None:
                self._matrices[name] = self.whole(name)
            else:
                put = self._device.put
                kept = Packed(packed.bits, put(packed.numbers), put(packed.scales), put(packed.offsets))
                self._matrices[name] = kept
                self._count(stored)
        return self._matrices[name]

    def whole(self, name: str) -> Any:
        """The float32 values."""
        if name not in self._whole:
            stored = self.find(name)
            self._whole[name] = self._device.put(dequantize(stored.data, stored.dtype, stored.shape))
            self._count(stored)
        return self._whole[name]

    def rows(self, name: str, ids: Array) -> Array:
        """Rows ``ids (...)`` of a table ``(rows, width)`` as float32 ``(..., width)``."""
        stored = self.find(name)
        rows, width = stored.shape
        picked = stored.data.reshape(rows, -1)[ids.reshape(-1)]
        return dequantize(picked.reshape(-1), stored.dtype, (ids.size, width)).reshape(*ids.shape, width)

    def find(self, name: str) -> Weight:
        """The stored weight; raises BackendError for one that was never loaded, or that contradicts itself."""
        if name not in self._stored:
            raise BackendError(f"backend metal: weight {name!r} was not loaded")
        stored = self._stored[name]
        width = stored.shape[-1] if stored.shape else 1
        if width % stored.dtype.block_size or 0 in stored.shape:
            raise BackendError(
                f"backend metal: weight {name!r} has the shape {stored.shape}, which {stored.dtype.name} lacks"
            )
        expected = stored.dtype.row_bytes(width) * (math.prod(stored.shape) // width)
        if stored.data.nbytes != expected:
            raise BackendError(f"backend metal: weight {name!r} has {stored.data.nbytes} bytes, expected {expected}")
        return stored

    def close(self) -> None:
        """Let go of everything, also where a program still holds this."""
        self._stored = {}
        self._matrices.clear()
        self._whole.clear()

    def _count(self, stored: Weight) -> None:
        """Tell how far the conversion is, and let go of the file's pages that were read."""
        if stored.mapped:
            drop_pages(stored.data)
        if stored.name not in self._counted:
            self._counted[stored.name] = stored.data.nbytes
            if self._progress is not None:
                self._progress(sum(self._counted.values()))
