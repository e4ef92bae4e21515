"""States: caches as MLX arrays ``(slots, cells, ...)``, kept as F32, F16 or Q8_0; a write gives new arrays.

A version is one array, or the numbers and the scales of Q8_0. MLX computes a write where the older array lies as soon
as nobody else holds that. Arrays have the first cells only, and grow when a run needs more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np

from ollamax.backend import State
from ollamax.errors import BackendError
from ollamax.ml import Op, Tensor
from ollamax.ml.shape import concrete
from ollamax.types import DType
from ollamax_backend_metal.blocks import GROUP
from ollamax_backend_metal.run import Kernel, Run

if TYPE_CHECKING:
    from ollamax.backend.base import Array
    from ollamax_backend_metal.device import MLXDevice

_STEP = 256
"""Cells that a state begins with."""
_MOST = float(np.finfo(np.float16).max)
_KEPT = {DType.F32: (mx.float32,), DType.F16: (mx.float16,), DType.Q8_0: (mx.int8, mx.float16)}


class MLXState(State):
    """One state, zero at first: one array, or numbers and their scales; what these lack of its cells is zero."""

    def __init__(self, name: str, shape: tuple[int, ...], dtype: DType, device: MLXDevice) -> None:
        self.name, self.shape, self._device = name, shape, device
        shapes = [(shape[0], min(shape[1], _STEP), *shape[2:])]
        if dtype is DType.Q8_0:
            shapes.append((*shapes[0][:-1], shape[-1] // GROUP))
        with device.used():
            self._kept = [mx.zeros(part, kind) for part, kind in zip(shapes, _KEPT[dtype], strict=True)]
            device.evaluate(self._kept)

    @property
    def whole_bytes(self) -> int:
        """What it takes with all of its cells."""
        return sum(map(_cell_bytes, self.version)) * self.shape[1]

    @property
    def version(self) -> list[Any]:
        """What is kept; raises BackendError where a step failed that was to write it."""
        if not self._kept:
            raise BackendError(f"backend metal: state {self.name!r} was lost when a step failed; load the model again")
        return list(self._kept)

    def grow(self, cells: int) -> None:
        """Have at least that many cells; raises BackendError where memory is short, and as ``version`` does.

        The number doubles, so that few shapes are compiled for and a cell is copied once, on average.
        """
        held = self.version[0].shape[1]
        if cells <= held:
            return
        count = min(self.shape[1], 1 << (cells - 1).bit_length())
        self._device.check_room(f"{count:,} cells of state {self.name!r}", sum(map(_cell_bytes, self._kept)) * count)
        with self._device.used():
            for index, part in enumerate(self._kept):
                rest = mx.zeros((part.shape[0], count - held, *part.shape[2:]), part.dtype)
                self._kept[index] = mx.concatenate([part, rest], axis=1)
            self._device.evaluate(self._kept)

    def put(self, version: Sequence[Any]) -> None:
        """Keep another version; an empty one stands for a state that is lost."""
        self._kept = list(version)

    def copy_rows(self, source: int, target: int, rows: Array) -> None:
        """Copy cells ``rows`` of one slot to another, as they are kept."""
        rows = rows[rows < self.version[0].shape[1]]  # the others are zero in both
        if not rows.size:
            return
        with self._device.used():
            cells = mx.array(rows)
            for part in self.version:
                part[target, cells] = part[source, cells]
            self._device.evaluate(self._kept)

    def slot(self, number: int) -> Array:
        """A copy of one slot, float32 ``(cells, ...)``."""
        value = np.zeros(self.shape[1:], np.float32)
        with self._device.used():
            held = np.array(_decode([part[number] for part in self.version]))
        value[: len(held)] = held
        return value

    def replace(self, number: int, value: Array) -> None:
        """Put ``value (cells, ...)`` into one slot."""
        used = np.flatnonzero(value.reshape(len(value), -1).any(axis=1))
        self.grow(int(used[-1]) + 1 if used.size else 0)
        with self._device.used():
            held = mx.array(value[: self.version[0].shape[1]], mx.float32)
            for part, new in zip(self._kept, _encode(held, self._kept), strict=True):
                part[number] = new
            self._device.evaluate(self._kept)


def _cell_bytes(part: Any) -> int:
    """What a cell takes in all slots of one part."""
    return int(part.itemsize * math.prod((part.shape[0], *part.shape[2:])))


def _encode(values: Any, kept: Sequence[Any]) -> list[Any]:
    """As a version is kept; a scale of Q8_0 is the largest of 32 values by 127.

    What float16 cannot hold becomes its largest number: a share of 0 times infinity would be no number, and a cell that
    no query sees would spoil a step.
    """
    if len(kept) == 1:
        return [values if kept[0].dtype == mx.float32 else mx.clip(values, -_MOST, _MOST).astype(mx.float16)]
    blocks = values.reshape(*values.shape[:-1], -1, GROUP)
    scales = mx.abs(blocks).max(axis=-1, keepdims=True) / 127
    numbers = mx.round(blocks / mx.where(scales == 0, 1, scales)).astype(mx.int8)
    return [numbers.reshape(values.shape), mx.minimum(scales[..., 0], _MOST).astype(mx.float16)]


def _decode(parts: Sequence[Any]) -> Any:
    """The float32 values."""
    values = [part.astype(mx.float32) for part in parts]
    if len(values) == 1:
        return values[0]
    numbers, scales = values
    return (numbers.reshape(*scales.shape, GROUP) * scales[..., None]).reshape(numbers.shape)


def _read(r: Run, node: Tensor) -> Any:
    """The first cells of the slots that are named, as float32."""
    held, slots = node.srcs
    (cells,) = concrete((node.attrs["cells"],), r.dims)
    parts = [part[:, :cells] for part in r.value(held)]
    return _decode(parts if held.shape[0] == 1 else [mx.take(part, r.value(slots), axis=0) for part in parts])


def _write(r: Run, node: Tensor) -> list[Any]:
    """The version with other values in cells ``rows (N, T)`` of ``slots (N,)``."""
    held, (slots, rows, values) = r.value(node.srcs[0]), (r.value(src) for src in node.srcs[1:])
    written = []
    for part, new in zip(held, _encode(values, held), strict=True):
        flat = part.reshape(-1, *part.shape[2:])  # another object: assigning changes it
        flat[slots[:, None] * part.shape[1] + rows] = new
        written.append(flat.reshape(part.shape))
    return written


KERNELS: dict[Op, Kernel] = {Op.STATE_READ: _read, Op.STATE_WRITE: _write}
