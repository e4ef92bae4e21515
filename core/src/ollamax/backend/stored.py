"""The weights that a backend was given, as they are stored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ollamax.backend.base import Progress, Weight
from ollamax.errors import BackendError
from ollamax.ml.shape import Shape

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]


class StoredWeights:
    """Base of what a backend makes of its weights; the backend is called ``backend`` in messages."""

    def __init__(self, backend: str, stored: Mapping[str, Weight], progress: Progress | None = None) -> None:
        self._backend, self._stored, self._progress = backend, stored, progress
        self._counted: dict[str, int] = {}

    def find(self, name: str, shape: Shape | None = None) -> Weight:
        """The stored weight, of that ``shape`` if one is given.

        Raises BackendError for one that was never loaded, or that contradicts the graph or itself.
        """
        if name not in self._stored:
            raise BackendError(f"backend {self._backend}: weight {name!r} was not loaded")
        stored = self._stored[name]
        if shape not in (None, stored.shape):
            raise BackendError(
                f"backend {self._backend}: weight {name!r} has shape {stored.shape} where the graph expects {shape}"
            )
        if problem := _problem(stored):
            raise BackendError(f"backend {self._backend}: weight {name!r} {problem}")
        return stored

    def rows(self, name: str, ids: Array) -> Array:
        """Rows ``ids (...)`` of a table ``(rows, width)`` as float32 ``(..., width)``; the table stays as stored."""
        from ollamax.ml.dtype import dequantize

        stored = self.find(name)
        rows, width = stored.shape
        picked = stored.data.reshape(rows, -1)[ids.reshape(-1)]
        return dequantize(picked.reshape(-1), stored.dtype, (ids.size, width)).reshape(*ids.shape, width)

    def count(self, stored: Weight) -> None:
        """Tell that a weight is done; one that is told of again, in another form, does not count twice."""
        if stored.name not in self._counted:
            self._counted[stored.name] = stored.data.nbytes
            if self._progress is not None:
                self._progress(sum(self._counted.values()))


def _problem(stored: Weight) -> str | None:
    """Where type, shape and bytes do not fit each other."""
    dtype, shape = stored.dtype, stored.shape
    row = shape[-1] if shape else 1
    if 0 in shape:
        return f"has shape {shape}, expected no empty axis"
    if row % dtype.block_size:
        return f"has rows of {row}, which do not divide into {dtype.name} blocks of {dtype.block_size}"
    expected = dtype.row_bytes(row) * (math.prod(shape) // row)
    return None if stored.data.nbytes == expected else f"has {stored.data.nbytes} bytes, expected {expected}"
