"""States: caches as MLX arrays ``(slots, cells, ...)``, kept as F32, F16 or Q8_0; a write gives new arrays.

A version is one array, or the numbers and the scales of Q8_0. MLX computes a write where the older array lies as soon
as nobody else holds that.
"""

from __future__ import annotations

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

_MOST = float(np.finfo(np.float16).max)
_KEPT = {DType.F32: (mx.float32,), DType.F16: (mx.float16,), DType.Q8_0: (mx.int8, mx.float16)}


class MLXState(State):
    """One state, zero at first: one array, or numbers and their scales."""

    def __init__(self, name: str, shape: tuple[int, ...], dtype: DType, device: MLXDevice) -> None:
        self.name, self.shape, self._device = name, shape, device
        shapes = [shape]
        if dtype is DType.Q8_0:
            shapes.append((*shape[:-1], shape[-1] // GROUP))
        with device.used():
            self._kept = [mx.zeros(part, kind) for part, kind in zip(shapes, _KEPT[dtype], strict=True)]
            device.evaluate(self._kept)

    @property
    def version(self) -> list[Any]:
        """What is kept; raises BackendError where a step failed that was to write it."""
        if not self._kept:
            raise BackendError(f"backend metal: state {self.name!r} was lost when a step failed; load the model again")
        return list(self._kept)

    def put(self, version: Sequence[Any]) -> None:
        """Keep another version; an empty one stands for a state that is lost."""
        self._kept = list(version)

    def copy_rows(self, source: int, target: int, rows: Array) -> None:
        """Copy cells ``rows`` of one slot to another, as they are kept."""
        with self._device.used():
            cells = mx.array(rows)
            for part in self.version:
                part[target, cells] = part[source, cells]
            self._device.evaluate(self._kept)

    def slot(self, number: int) -> Array:
        """A copy of one slot, float32 ``(cells, ...)``."""
        with self._device.used():
            return np.array(_decode([part[number] for part in self.version]))

    def replace(self, number: int, value: Array) -> None:
        """Put ``value (cells, ...)`` into one slot."""
        with self._device.used():
            for part, new in zip(self.version, _encode(mx.array(value, mx.float32), self._kept), strict=True):
                part[number] = new
            self._device.evaluate(self._kept)


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
