"""States of the NumPy backend: caches that are written in place.

A state ``(slots, cells, heads, width)`` is kept with heads before cells, so that attention multiplies contiguous
matrices; the graph sees the order it asked for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ollamax.backend import State
from ollamax.errors import BackendError
from ollamax.types import DType
from ollamax_backend_cpu.cell_type import CELL_TYPES

Array = npt.NDArray[Any]


class CPUState(State):
    """One state, zero at first."""

    def __init__(self, shape: tuple[int, ...], dtype: DType) -> None:
        self.shape, self._cells = shape, CELL_TYPES[dtype]
        self._by_head = len(shape) == 4
        self._kept = self._cells.empty((shape[0], shape[2], shape[1], shape[3]) if self._by_head else shape)

    def read(self, slots: Array, cells: int) -> Array:
        """The first ``cells`` cells of ``slots``; float32 is not copied where the slots are neighbours."""
        if cells > self.shape[1]:
            raise BackendError(f"backend cpu: {cells} cells are used of a state with {self.shape[1]}")
        first, count = int(slots[0]), slots.size
        if count == 1 or bool((np.diff(slots) == 1).all()):
            return self._cells.decode([view[first : first + count, :cells] for view in self._views()])
        return self._cells.decode([view[:, :cells][slots] for view in self._views()])

    def write(self, slots: Array, rows: Array, values: Array) -> None:
        """Put ``values (N, T, ...)`` into cells ``rows (N, T)`` of ``slots``."""
        for view, kept in zip(self._views(), self._cells.encode(values), strict=True):
            view[slots[:, None], rows] = kept

    def copy_rows(self, source: int, target: int, rows: Array) -> None:
        """Copy cells ``rows`` of one slot to another, as they are kept."""
        for view in self._views():
            view[target, rows] = view[source, rows]

    def slot(self, number: int) -> Array:
        """A copy of one slot, float32 ``(cells, ...)``."""
        return np.array(self._cells.decode([view[number] for view in self._views()]))

    def replace(self, number: int, value: Array) -> None:
        """Put ``value (cells, ...)`` into one slot."""
        for view, kept in zip(self._views(), self._cells.encode(value), strict=True):
            view[number] = kept

    def _views(self) -> list[Array]:
        """What is kept, with cells before heads; writing to these writes the state."""
        return [kept.swapaxes(1, 2) for kept in self._kept] if self._by_head else self._kept
