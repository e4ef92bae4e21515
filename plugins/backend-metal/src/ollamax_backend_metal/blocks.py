"""Weights in blocks of 32, as MLX multiplies with them: packed numbers, a scale and an offset for each block.

MLX's layout is that of ``mx.quantize``: element ``i`` of a row of ``b`` bits starts at bit ``b i`` of a row of uint32,
and stands for ``scale * number + offset``. GGUF's blocks are those of ggml's ggml-common.h. With float32 scales and
offsets every value is the same: the product of a float16 scale and a number of 8 bits is exact, and so is the sum where
the offset is a multiple of the scale; Q4_1 rounds its sum once, in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ollamax.types import DType

if TYPE_CHECKING:
    from ollamax.backend import Weight
    from ollamax.backend.base import Array
    from ollamax.types import TensorInfo

BLOCK = 32
_BITS = {DType.Q4_0: 4, DType.Q4_1: 4, DType.Q8_0: 8}


@dataclass(frozen=True, slots=True)
class Packed:
    """``numbers (rows, width * bits / 32)`` uint32, ``scales`` and ``offsets (rows, width / 32)`` float32."""

    bits: int
    numbers: Any
    scales: Any
    offsets: Any


def pack(stored: Weight) -> Packed | None:
    """A matrix ``(rows, width)`` in MLX's layout; None for a type without one, or with a scale that is no number."""
    if stored.dtype not in _BITS or len(stored.shape) != 2:
        return None
    rows, bits = stored.shape[0], _BITS[stored.dtype]
    blocks = np.ascontiguousarray(stored.data).reshape(-1, stored.dtype.block_bytes)
    scales = _halves(blocks[:, :2])
    if stored.dtype is DType.Q8_0:
        numbers, offsets = blocks[:, 2:] ^ np.uint8(0x80), np.float32(-128) * scales
    elif stored.dtype is DType.Q4_0:
        numbers, offsets = _nibbles(blocks[:, 2:]), np.float32(-8) * scales
    else:
        numbers, offsets = _nibbles(blocks[:, 4:]), _halves(blocks[:, 2:4])
    if not (np.isfinite(scales).all() and np.isfinite(offsets).all()):
        return None
    words = np.ascontiguousarray(numbers).view("<u4")
    return Packed(bits, *(part.reshape(rows, -1) for part in (words, scales, offsets)))


def kept_bytes(matrix: TensorInfo) -> int:
    """Bytes of a matrix on the device."""
    if matrix.dtype not in _BITS or len(matrix.shape) != 2:
        return 4 * matrix.elements
    return matrix.elements * _BITS[matrix.dtype] // 8 + matrix.elements // BLOCK * 8


def _halves(stored: Array) -> Array:
    return np.ascontiguousarray(stored).view("<f2").astype(np.float32)[:, 0]


def _nibbles(stored: Array) -> Array:
    """A block has elements 0 to 15 in the lower halves of its bytes, 16 to 31 in the upper; MLX has neighbours."""
    elements = np.concatenate([stored & np.uint8(15), stored >> np.uint8(4)], axis=1)
    return np.asarray(elements[:, 0::2] | elements[:, 1::2] << np.uint8(4))
