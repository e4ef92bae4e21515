"""Weights in blocks as MLX multiplies with them: packed numbers, and a scale and an offset for each group of 32.

MLX's layout is that of ``mx.quantize``: element ``i`` of a row of ``b`` bits starts at bit ``b i`` of a row of uint32,
and stands for ``scale * number + offset``. With float32 scales and offsets values are the same, but for the last bits
of float32. MLX knows no groups of 16: such a block is the first half of a group, and the second half is multiplied
with zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ollamax.ml.blocks import BLOCKS, take_apart

if TYPE_CHECKING:
    from ollamax.backend import Weight
    from ollamax.backend.base import Array
    from ollamax.types import TensorInfo

GROUP = 32
_CHUNK = 1 << 20
"""Elements converted at a time."""


@dataclass(frozen=True, slots=True)
class Packed:
    """``numbers (rows, groups * bits)`` uint32, ``scales`` and ``offsets (rows, groups)`` float32.

    ``block`` elements of a row, 16 or 32, are in a group.
    """

    bits: int
    block: int
    numbers: Any
    scales: Any
    offsets: Any


def pack(stored: Weight) -> Packed | None:
    """A matrix ``(rows, width)`` in MLX's layout; None for a type without one, or with a scale that is no number."""
    blocks = BLOCKS.get(stored.dtype)
    if blocks is None or len(stored.shape) != 2:
        return None
    rows, width = stored.shape
    groups, step = width // blocks.block, max(1, _CHUNK // width)
    data = stored.data.reshape(rows, -1, stored.dtype.block_bytes)
    words = np.empty((rows, groups * blocks.bits), np.uint32)
    scales, offsets = np.empty((rows, groups), np.float32), np.empty((rows, groups), np.float32)
    for start in range(0, rows, step):
        part = slice(start, start + step)
        found = take_apart(data[part], stored.dtype)
        if found is None:
            return None
        words[part] = _words(found.numbers.reshape(-1, groups, blocks.block), blocks.bits)
        scales[part], offsets[part] = found.scales, found.scales * np.float32(-blocks.zero)
        if found.minima is not None:
            offsets[part] += found.minima
    return Packed(blocks.bits, blocks.block, words, scales, offsets) if np.isfinite(offsets).all() else None


def kept_bytes(matrix: TensorInfo) -> int:
    """Bytes of a matrix on the device."""
    blocks = BLOCKS.get(matrix.dtype)
    if blocks is None or len(matrix.shape) != 2:
        return 4 * matrix.elements
    return matrix.elements // blocks.block * (GROUP * blocks.bits // 8 + 8)


def _words(numbers: Array, bits: int) -> Array:
    """Numbers ``(rows, groups, block)`` one after another in bits, with zeros behind blocks of less than a group."""
    rows, groups, block = numbers.shape
    if bits == 8 and block == GROUP:
        return numbers.reshape(rows, -1).view("<u4")
    eights = numbers.reshape(rows, groups, block // 8, 8)
    made = np.zeros((rows, groups, GROUP // 8, bits), np.uint8)
    used = made[:, :, : block // 8]
    for number in range(8):
        for byte in range(bits):
            place = number * bits - 8 * byte
            if 0 <= place < 8:
                used[..., byte] |= eights[..., number] << place
            elif -bits < place < 0:
                used[..., byte] |= eights[..., number] >> -place
    return made.reshape(rows, -1).view("<u4")
