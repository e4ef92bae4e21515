"""States: caches that the runtime writes in place, kept as F32, F16 or Q8_0.

A state ``(slots, cells, ...)`` is kept with its cells first, so that the first of them are one piece of memory for
all slots: a run binds as many as it looks at, and copies none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto

from ollamax.backend import State, States
from ollamax.ml.dtype import quantize
from ollamax.ml.shape import Dim, Shape
from ollamax.types import DType

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

BLOCK = 32
_KEPT: dict[DType, tuple[tuple[type[np.generic], int], ...]] = {
    DType.F32: ((np.float32, TensorProto.FLOAT),),
    DType.F16: ((np.float16, TensorProto.FLOAT16),),
    DType.Q8_0: ((np.int8, TensorProto.INT8), (np.float16, TensorProto.FLOAT16)),
}


class ONNXState(State):
    """One state, zero at first: one array ``(cells, slots, ...)``, or numbers and their scales."""

    def __init__(self, name: str, shape: tuple[int, ...], dtype: DType) -> None:
        self.name, self.shape, self.dtype = name, shape, dtype
        self.slots, self.cells = shape[:2]
        self._kinds = [kind for _, kind in _KEPT[dtype]]
        shapes = [(self.cells, self.slots, *shape[2:])]
        if dtype is DType.Q8_0:
            shapes.append((self.cells, self.slots, *shape[2:-1], shape[-1] // BLOCK))
        self._kept = [np.zeros(whole, kind) for whole, (kind, _) in zip(shapes, _KEPT[dtype], strict=True)]

    def parts(self, extent: Dim | None) -> list[tuple[str, int, Shape]]:
        """What is kept, as inputs of a model that sees ``extent`` cells: name, ONNX type, shape."""
        names = [self.name, f"{self.name}.scale"][: len(self._kept)]
        cells = self.cells if extent is None else extent
        return [
            (name, kind, (cells, *kept.shape[1:]))
            for name, kind, kept in zip(names, self._kinds, self._kept, strict=True)
        ]

    def arrays(self, cells: int | None) -> list[Array]:
        """What is kept of the first ``cells``: writing to these writes the state."""
        return [kept[:cells] for kept in self._kept]

    def copy_rows(self, source: int, target: int, rows: Array) -> None:
        """Copy cells ``rows`` of one slot to another, as they are kept."""
        for kept in self._kept:
            kept[rows, target] = kept[rows, source]

    def slot(self, number: int) -> Array:
        """A copy of one slot, float32 ``(cells, ...)``."""
        parts = [kept[:, number] for kept in self._kept]
        if self.dtype is not DType.Q8_0:
            return np.array(parts[0], np.float32)
        blocks = parts[0].reshape(*parts[1].shape, BLOCK).astype(np.float32)
        return np.asarray(blocks * parts[1].astype(np.float32)[..., None]).reshape(parts[0].shape)

    def replace(self, number: int, value: Array) -> None:
        """Put ``value (cells, ...)`` into one slot; what is too large becomes the largest number, as in a step."""
        most = np.finfo(np.float16).max
        if self.dtype is not DType.Q8_0:
            self._kept[0][:, number] = value if self.dtype is DType.F32 else np.clip(value, -most, most)
            return
        stored = quantize(value, DType.Q8_0).reshape(-1, DType.Q8_0.block_bytes)
        numbers, scales = self._kept
        narrow = stored[:, :2].copy().view(np.float16).reshape(scales[:, number].shape)
        scales[:, number] = np.minimum(narrow, most)
        numbers[:, number] = stored[:, 2:].copy().view(np.int8).reshape(value.shape)


ONNXStates = States[ONNXState]
