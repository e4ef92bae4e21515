"""Weights: in blocks, as float32, or row by row from where they are stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ollamax.backend import StoredWeights
from ollamax.mapped_pages import drop_pages
from ollamax.ml.dtype import dequantize
from ollamax_backend_metal.blocks import Packed, pack

if TYPE_CHECKING:
    from ollamax.backend import Weight
    from ollamax.backend.base import Progress
    from ollamax_backend_metal.device import MLXDevice


class Weights(StoredWeights):
    """Each form is made once, when a program first needs it, and shared by all programs."""

    def __init__(self, stored: Mapping[str, Weight], device: MLXDevice, progress: Progress | None = None) -> None:
        super().__init__("metal", stored, progress)
        self._device = device
        self._matrices: dict[str, Packed | Any] = {}
        self._whole: dict[str, Any] = {}

    def matrix(self, name: str) -> Packed | Any:
        """What ``linear`` multiplies with: a matrix in blocks, or an array of float32."""
        if name not in self._matrices:
            stored = self.find(name)
            packed = pack(stored)
            if packed is None:
                self._matrices[name] = self.whole(name)
            else:
                put = self._device.put
                scalings = tuple((put(scales), put(offsets)) for scales, offsets in packed.scalings)
                self._matrices[name] = Packed(packed.bits, put(packed.numbers), scalings)
                self._count(stored)
        return self._matrices[name]

    def whole(self, name: str) -> Any:
        """The float32 values."""
        if name not in self._whole:
            stored = self.find(name)
            self._whole[name] = self._device.put(dequantize(stored.data, stored.dtype, stored.shape))
            self._count(stored)
        return self._whole[name]

    def close(self) -> None:
        """Let go of everything, also where a program still holds this."""
        self._stored = {}
        self._matrices.clear()
        self._whole.clear()

    def _count(self, stored: Weight) -> None:
        """Tell how far the conversion is, and let go of the file's pages that were read."""
        drop_pages(stored.data)
        self.count(stored)
