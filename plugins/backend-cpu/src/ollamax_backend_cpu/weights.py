"""Weights of the NumPy backend: float32 matrices, made once, and rows of quantised tables on demand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ollamax.backend import Weight
from ollamax.backend.base import Progress
from ollamax.errors import BackendError
from ollamax.ml.dtype import dequantize
from ollamax.types import DType

Array = npt.NDArray[Any]


class Weights:
    """Holds the stored bytes, and the float32 form of what the programs need whole."""

    def __init__(self, stored: Mapping[str, Weight], progress: Progress | None = None) -> None:
        self._stored, self._progress, self._done = stored, progress, 0
        self._whole: dict[str, Array] = {}

    def whole(self, name: str) -> Array:
        """The weight as float32; made at the first call and kept."""
        if name not in self._whole:
            stored = self.find(name)
            self._whole[name] = self._values(stored)
            self._done += stored.data.size
            if self._progress is not None:
                self._progress(self._done)
        return self._whole[name]

    def rows(self, name: str, ids: Array) -> Array:
        """Rows ``ids (...)`` of a table ``(rows, width)`` as float32 ``(..., width)``; the table stays as stored."""
        if name in self._whole:
            return self._whole[name][ids]
        stored = self.find(name)
        width = stored.shape[-1]
        picked = stored.data.reshape(stored.shape[0], -1)[ids.reshape(-1)]
        return dequantize(picked.reshape(-1), stored.dtype, (ids.size, width)).reshape(*ids.shape, width)

    def find(self, name: str) -> Weight:
        """The stored weight; raises BackendError for one that was never loaded."""
        if name not in self._stored:
            raise BackendError(f"backend cpu: weight {name!r} was not loaded")
        return self._stored[name]

    def _values(self, stored: Weight) -> Array:
        if stored.dtype is DType.F32:
            # The file's own pages serve where they are aligned; NumPy handles the rest by copying.
            return np.frombuffer(stored.data, np.float32).reshape(stored.shape)
        return dequantize(stored.data, stored.dtype, stored.shape)
