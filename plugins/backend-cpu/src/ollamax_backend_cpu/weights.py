"""Weights of the NumPy backend: float32 matrices, made once, and rows of quantised tables on demand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ollamax.backend import StoredWeights, Weight
from ollamax.backend.base import Progress
from ollamax.ml.dtype import dequantize
from ollamax.types import DType

Array = npt.NDArray[Any]


class Weights(StoredWeights):
    """Holds the stored bytes, and the float32 form of what the programs need whole."""

    def __init__(self, stored: Mapping[str, Weight], progress: Progress | None = None) -> None:
        super().__init__("cpu", stored, progress)
        self._whole: dict[str, Array] = {}

    def whole(self, name: str) -> Array:
        """The weight as float32; made at the first call and kept."""
        if name not in self._whole:
            stored = self.find(name)
            self._whole[name] = self._values(stored)
            self.count(stored)
        return self._whole[name]

    def rows(self, name: str, ids: Array) -> Array:
        """Rows ``ids (...)`` of a table ``(rows, width)`` as float32 ``(..., width)``; the table stays as stored."""
        return self._whole[name][ids] if name in self._whole else super().rows(name, ids)

    def _values(self, stored: Weight) -> Array:
        if stored.dtype is DType.F32:
            # The file's own pages serve where they are aligned; NumPy handles the rest by copying.
            return np.frombuffer(stored.data, np.float32).reshape(stored.shape)
        return dequantize(stored.data, stored.dtype, stored.shape)
