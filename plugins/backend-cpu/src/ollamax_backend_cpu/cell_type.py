"""How the cells of a cache are stored: float32, float16, or blocks of 8-bit numbers with a scale each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from ollamax.types import DType

Array = npt.NDArray[Any]

_BLOCK = 32


class CellType(ABC):
    """Turns values ``(..., width)`` into the arrays that are kept, and back. All have the same leading axes."""

    @abstractmethod
    def empty(self, shape: tuple[int, ...]) -> list[Array]:
        """Arrays that stand for zeros of ``shape``."""

    @abstractmethod
    def encode(self, values: Array) -> list[Array]:
        """What is kept of ``values``."""

    @abstractmethod
    def decode(self, kept: list[Array]) -> Array:
        """The values as float32."""


class PlainCells(CellType):
    """One float a value; float32 is read without a copy."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._dtype = dtype

    def empty(self, shape: tuple[int, ...]) -> list[Array]:
        """Zeros; memory is taken when a cell is first written."""
        return [np.zeros(shape, self._dtype)]

    def encode(self, values: Array) -> list[Array]:
        """The values, rounded where the type is narrower, and at most its largest number."""
        return [_narrow(values, self._dtype)]

    def decode(self, kept: list[Array]) -> Array:
        """The values."""
        return kept[0].astype(np.float32, copy=False)


class BlockCells(CellType):
    """Q8_0: 32 values share a scale, the largest magnitude divided by 127, kept as float16 (ggml's block_q8_0)."""

    def empty(self, shape: tuple[int, ...]) -> list[Array]:
        """Zeros."""
        return [np.zeros(shape, np.int8), np.zeros((*shape[:-1], shape[-1] // _BLOCK), np.float16)]

    def encode(self, values: Array) -> list[Array]:
        """Numbers from -127 to 127, and scales."""
        blocks = values.reshape(*values.shape[:-1], -1, _BLOCK)
        scales = (np.abs(blocks).max(axis=-1) / np.float32(127)).astype(np.float32)
        factors = np.divide(1.0, scales, out=np.zeros_like(scales), where=scales > 0)
        return [np.rint(blocks * factors[..., None]).astype(np.int8).reshape(values.shape), _narrow(scales, np.float16)]

    def decode(self, kept: list[Array]) -> Array:
        """Numbers times scales."""
        numbers, scales = kept
        blocks = numbers.reshape(*numbers.shape[:-1], -1, _BLOCK).astype(np.float32)
        blocks *= scales.astype(np.float32)[..., None]
        return blocks.reshape(numbers.shape)


def _narrow(values: Array, dtype: npt.DTypeLike) -> Array:
    """Infinity in a cell that no query sees would spoil a step: a share of 0 times infinity is no number."""
    if dtype == np.float16:
        values = np.clip(values, np.finfo(np.float16).min, np.finfo(np.float16).max)
    return values.astype(dtype, copy=False)


CELL_TYPES: dict[DType, CellType] = {
    DType.F32: PlainCells(np.float32),
    DType.F16: PlainCells(np.float16),
    DType.Q8_0: BlockCells(),
}
