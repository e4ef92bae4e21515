"""States: caches that the library writes in place, stored as F32, F16 or Q8_0."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ollamax.backend import State
from ollamax.ml.dtype import dequantize, quantize
from ollamax.types import DType
from ollamax_backend_ggml.memory import Residents, zeros

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]


class GGMLState(State):
    """One state ``(slots, cells, ...)``, zero at first.

    ``tensor`` is ``(width, heads, cells, slots)`` for the library, ``rows`` the same memory as ``(heads * width,
    cells * slots)``.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DType, residents: Residents) -> None:
        self.shape, self.dtype = shape, dtype
        self.slots, self.cells = shape[:2]
        self.width = shape[-1] if len(shape) > 2 else 1
        self.heads = math.prod(shape[2:]) // self.width
        self._cell = dtype.row_bytes(self.width) * self.heads
        self.tensor = self._open(residents, (self.width, self.heads, self.cells, self.slots))
        self.rows = residents.view(self.tensor, (self.width * self.heads, self.cells * self.slots))

    def copy_rows(self, source: int, target: int, rows: Array) -> None:
        """Copy cells ``rows`` of one slot to another, as they are kept."""
        cells = self._take(target)
        cells[rows] = self._take(source)[rows]
        self._put(target, cells)

    def slot(self, number: int) -> Array:
        """A copy of one slot, float32 ``(cells, ...)``."""
        return dequantize(self._take(number).reshape(-1), self.dtype, self.shape[1:])

    def replace(self, number: int, value: Array) -> None:
        """Put ``value (cells, ...)`` into one slot."""
        self._put(number, quantize(value, self.dtype).reshape(-1, self._cell))

    def _open(self, residents: Residents, sizes: tuple[int, ...]) -> int:
        data = zeros(state_size(self.shape, self.dtype))
        self._kept: Array = data.reshape(self.slots, self.cells, -1)
        return residents.add(data, self.dtype, sizes)

    def _take(self, slot: int) -> Array:
        """The bytes of a slot's cells, which may be where they are kept."""
        cells: Array = self._kept[slot]
        return cells

    def _put(self, slot: int, cells: Array) -> None:
        self._kept[slot] = cells


class DeviceState(GGMLState):
    """A state in memory of another kind, which is read and written by copies.

    A slot has some cells more than asked for where its beginning would else not lie as the device wants it.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DType, residents: Residents, kind: int) -> None:
        self._residents, self._kind = residents, kind
        super().__init__(shape, dtype, residents)

    def _open(self, residents: Residents, sizes: tuple[int, ...]) -> int:
        step = residents.alignment(self._kind) // math.gcd(self._cell, residents.alignment(self._kind))
        self._held, self.cells = self.cells, -(-self.cells // step) * step
        return residents.add_zeros(self._kind, self.dtype, (*sizes[:2], self.cells, self.slots))

    def _take(self, slot: int) -> Array:
        size = self._cell * self._held
        return self._residents.read(self.tensor, slot * self._cell * self.cells, size).reshape(-1, self._cell)

    def _put(self, slot: int, cells: Array) -> None:
        self._residents.write(self.tensor, slot * self._cell * self.cells, cells)


def state_size(shape: tuple[int, ...], dtype: DType) -> int:
    """Bytes of a state."""
    width = shape[-1] if len(shape) > 2 else 1
    return dtype.row_bytes(width) * (math.prod(shape) // width)
