"""Weights of every type: bytes as a file holds them, and the values that they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ollamax.backend import Weight
from ollamax.errors import ConversionError
from ollamax.ml.dtype import can_quantize, dequantize, quantize
from ollamax.types import DType

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

WIDTH = 512
"""Elements of a row: two blocks of the largest type."""

_SCALES = {DType.Q2_K: (80, 82), DType.Q3_K: (108,), DType.Q6_K: (208,)}
_SCALES |= dict.fromkeys((DType.Q4_1, DType.Q5_1, DType.Q4_K, DType.Q5_K), (0, 2))
"""Where the float16 scales and minima of a block lie; of other types one is in front (ggml-common.h)."""

_EXTREMES = np.array([65504, -65504, 2.0**-24, -(2.0**-14), 0, -0.0, 1.25], np.float16)


def _decodable(dtype: DType) -> bool:
    try:
        dequantize(np.zeros(dtype.block_bytes, np.uint8), dtype, (dtype.block_size,))
    except ConversionError:
        return False
    return True


STORED = tuple(sorted(filter(_decodable, DType)))
"""All types whose values core knows."""


def random_weight(dtype: DType, rows: int, name: str = "w") -> Weight:
    """A weight ``(rows, WIDTH)``: quantised values where core can quantise, else random blocks with sane scales."""
    return Weight(name, dtype, (rows, WIDTH), _bytes(dtype, rows))


def values_of(stored: Weight) -> Array:
    """What it stands for, float32."""
    return dequantize(stored.data, stored.dtype, stored.shape)


def float_weight(name: str, values: Array) -> Weight:
    """Float32 values as a weight."""
    data = np.ascontiguousarray(values, np.float32).reshape(-1).view(np.uint8)
    return Weight(name, DType.F32, values.shape, data)


def scale_places(dtype: DType) -> tuple[int, ...]:
    """Where a block's float16 scale lies, and its minimum if it has one."""
    return _SCALES.get(dtype, (0,))


def extreme_weight(dtype: DType, width: int, name: str = "w") -> Weight:
    """A weight ``(97, width)`` of a type in blocks, of any bits, with the largest scales, the least, and zeros."""
    blocks = np.random.default_rng(int(dtype)).integers(0, 256, (97 * width // dtype.block_size, dtype.block_bytes))
    stored = blocks.astype(np.uint8)
    for index, place in enumerate(scale_places(dtype)):
        scales = _EXTREMES[np.arange(len(stored)) // len(_EXTREMES) ** index % len(_EXTREMES)]
        stored[:, place : place + 2] = scales.view(np.uint8).reshape(-1, 2)
    return Weight(name, dtype, (97, width), stored.reshape(-1))


def _bytes(dtype: DType, rows: int) -> Array:
    random = np.random.default_rng(int(dtype))
    if dtype in can_quantize:
        return quantize(random.normal(size=(rows, WIDTH)).astype(np.float32), dtype)
    if dtype is DType.F64:
        return random.normal(size=rows * WIDTH).view(np.uint8)
    if dtype.block_size == 1:
        return random.integers(0, 100, rows * WIDTH).astype(f"i{dtype.block_bytes}").view(np.uint8)
    blocks = random.integers(0, 256, (rows * WIDTH // dtype.block_size, dtype.block_bytes), dtype=np.uint8)
    if dtype is DType.IQ1_M:  # its scale is spread over the high nibbles of four numbers
        blocks[:, 49:56:2] = (blocks[:, 49:56:2] & 15) | np.array([0, 0, 160, 32], np.uint8)
        return blocks.reshape(-1)
    if dtype is DType.NVFP4:  # four scales of eight bits, for sixteen elements each: from 1/8 to 4
        blocks[:, :4] = random.integers(32, 72, (len(blocks), 4))
        return blocks.reshape(-1)
    # Values should come out around one, whatever the type makes of a scale.
    lowest, highest = (0.2, 0.5) if dtype is DType.Q1_0 else (0.01, 0.1)
    for place in scale_places(dtype):
        scales = random.uniform(lowest, highest, len(blocks)).astype(np.float16)
        blocks[:, place : place + 2] = scales.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(-1)
