"""A tensor source that speaks up when a weight is not a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ollamax.types import DType, TensorSource

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]

Warn = Callable[[str], object]

_CHUNK_BYTES = 1 << 22
# Without the sign, NaN lies above infinity in each of these formats.
_INFINITY = {DType.F32: 0x7F800000, DType.F16: 0x7C00, DType.BF16: 0x7F80}


class NaNWatch:
    """``source`` as it is; ``warn`` is called, once for each tensor that holds NaN, when its bytes are asked for.

    Only F32, F16 and BF16 are looked at. The values stay: a model may never use them, or was trained that way.
    """

    def __init__(self, source: TensorSource, warn: Warn) -> None:
        self._source, self._warn = source, warn
        self._told: set[str] = set()
        self.metadata, self.tensors = source.metadata, source.tensors

    def tensor_bytes(self, name: str) -> Bytes:
        """The bytes of one tensor, as they are."""
        data = self._source.tensor_bytes(name)
        dtype = self.tensors[name].dtype
        if dtype in _INFINITY and name not in self._told and _holds_nan(data, dtype):
            self._told.add(name)
            self._warn(f"tensor {name} holds NaN; what the model computes with it will be NaN too")
        return data

    def close(self) -> None:
        """Close the source."""
        self._source.close()


def _holds_nan(data: Bytes, dtype: DType) -> bool:
    infinity = _INFINITY[dtype]
    words = data.view(f"<u{dtype.block_bytes}")
    step = _CHUNK_BYTES // dtype.block_bytes
    magnitude = (1 << (8 * dtype.block_bytes - 1)) - 1
    parts = (words[start : start + step] for start in range(0, words.size, step))
    return any(int((part & magnitude).max(initial=0)) > infinity for part in parts)
