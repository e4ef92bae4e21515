"""Weights in blocks as MLX multiplies with them: packed numbers, and a scale and an offset for each group of 32.

MLX's layout is that of ``mx.quantize``: element ``i`` of a row of ``b`` bits starts at bit ``b i`` of a row of uint32,
and stands for ``scale * number + offset``. MLX knows no groups of 16. A matrix with such blocks is multiplied twice,
with the scales of the first halves of groups and with those of the second; the other inputs are zero each time.

Scales and offsets are exact in float32: a float16 times at most 8 bits, and a scale times a power of two. So are scales
times numbers, and a sum is rounded once where the file has a minimum, as by its definition. Hence values are those of
``dequantize``, but for Q6_K: a scale of 19 bits times a number of 6 is rounded, by at most 2^-24 of ``63 scale``.
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
    """``numbers (rows, width * bits / 32)`` uint32; ``scalings`` are scales and offsets ``(rows, width / 32)`` float32.

    There is one such pair, or one for each half of a group.
    """

    bits: int
    numbers: Any
    scalings: tuple[tuple[Any, Any], ...]


def pack(stored: Weight) -> Packed | None:
    """A matrix ``(rows, width)`` in MLX's layout; None for a type without one, or with a scale that is no number."""
    blocks = BLOCKS.get(stored.dtype)
    if blocks is None or len(stored.shape) != 2:
        return None
    rows, width = stored.shape
    step, data = max(1, _CHUNK // width), stored.data.reshape(rows, -1, stored.dtype.block_bytes)
    words = np.empty((rows, width * blocks.bits // 32), np.uint32)
    scales, offsets = np.empty((2, GROUP // blocks.block, rows, width // GROUP), np.float32)
    for start in range(0, rows, step):
        part = slice(start, start + step)
        found = take_apart(data[part], stored.dtype)
        if found is None:
            return None
        words[part] = _words(found.numbers, blocks.bits)
        for half in range(len(scales)):
            own = slice(half, None, len(scales))
            scales[half, part] = found.scales[:, own]
            np.multiply(scales[half, part], np.float32(-blocks.zero), out=offsets[half, part])
            if found.minima is not None:
                offsets[half, part] += found.minima[:, own]
    return Packed(blocks.bits, words, tuple(zip(scales, offsets, strict=True)))


def read_bytes(matrix: TensorInfo) -> int:
    """Bytes that products with a matrix read: the numbers once for each pair of scales and offsets, or float32."""
    blocks = BLOCKS.get(matrix.dtype)
    if blocks is None or len(matrix.shape) != 2:
        return 4 * matrix.elements
    return matrix.elements * blocks.bits // 8 * (GROUP // blocks.block) + matrix.elements // blocks.block * 8


def _words(numbers: Array, bits: int) -> Array:
    """Bytes ``(rows, width)``, width a multiple of 32, moved together to numbers of ``bits``.

    Pairs, fours and eights are joined within words of their size; of an eight's bytes the first ``bits`` are used.
    """
    if bits == 8:
        return numbers.view("<u4")
    for size in (2, 4, 8):
        pairs = numbers.view(f"<u{size}")
        numbers = pairs >> 4 * size
        numbers <<= bits * size // 2
        numbers |= pairs & ((1 << 4 * size) - 1)
    cut = np.dtype({"names": ["used"], "formats": [f"V{bits}"], "itemsize": 8})
    return np.ascontiguousarray(numbers.view(cut)["used"]).view(np.uint8).view("<u4")
