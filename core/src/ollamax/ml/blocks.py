"""Quantised blocks taken apart: whole numbers, and a scale for several neighbours, with a minimum in some types.

A value is ``scale * (number - zero) + minimum``. What a library multiplies with in blocks is made of these, whatever
its own layout is. The layouts of the blocks are those of ggml's ggml-common.h.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ollamax.types import DType

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Blocks:
    """How a type is taken apart: numbers of ``bits``, and ``block`` neighbours that share a scale.

    ``read_scales`` and ``read_numbers`` take stored blocks ``(rows, blocks, bytes)``.
    """

    bits: int
    block: int
    zero: int
    has_minimum: bool
    read_scales: Callable[[Array], tuple[Array, Array | None]]
    read_numbers: Callable[[Array], Array]


@dataclass(frozen=True, slots=True)
class Parts:
    """``numbers (rows, width)`` uint8; ``scales`` and ``minima`` (None: zero) float32 ``(rows, width / block)``."""

    numbers: Array
    scales: Array
    minima: Array | None


def take_apart(stored: Array, dtype: DType) -> Parts | None:
    """The parts of blocks ``(rows, blocks, bytes)`` of a type in ``BLOCKS``; None where a scale is no number."""
    blocks, rows = BLOCKS[dtype], len(stored)
    with np.errstate(all="ignore"):  # a damaged file's scales may be no numbers
        scales, minima = blocks.read_scales(stored)
    scales = np.ascontiguousarray(scales.reshape(rows, -1), np.float32)
    if minima is not None:
        minima = np.ascontiguousarray(minima.reshape(rows, -1), np.float32)
    if not (np.isfinite(scales).all() and (minima is None or np.isfinite(minima).all())):
        return None
    return Parts(blocks.read_numbers(stored).reshape(rows, -1), scales, minima)


def _halves(stored: Array, place: int) -> Array:
    """The float16 at ``place`` of each block, as float32."""
    return stored[..., place : place + 2].copy().view("<f2").astype(np.float32)


def _scale(stored: Array) -> tuple[Array, None]:
    return _halves(stored, 0), None


def _scale_and_minimum(stored: Array) -> tuple[Array, Array]:
    return _halves(stored, 0), _halves(stored, 2)


def _six_bits(stored: Array) -> tuple[Array, Array]:
    """Q4_K and Q5_K: 8 scales and 8 minima of 6 bits in the bytes 4 to 16."""
    low, middle, high = stored[..., 4:8], stored[..., 8:12], stored[..., 12:16]
    scales = np.concatenate([low & 63, (high & 15) | (low >> 6) << 4], axis=-1)
    minima = np.concatenate([middle & 63, (high >> 4) | (middle >> 6) << 4], axis=-1)
    return _halves(stored, 0) * scales, -_halves(stored, 2) * minima


def _q2_k(stored: Array) -> tuple[Array, Array]:
    """16 scales and minima of 4 bits in front."""
    pairs = stored[..., :16]
    return _halves(stored, 80) * (pairs & 15), -_halves(stored, 82) * (pairs >> 4)


def _q3_k(stored: Array) -> tuple[Array, None]:
    """16 scales of 6 bits in the bytes 96 to 108: the low 4 bits in 8 bytes, the high 2 in 4."""
    low, high = stored[..., 96:104], stored[..., 104:108]
    lows = np.concatenate([low & 15, low >> 4], axis=-1)
    highs = np.concatenate([high >> shift & 3 for shift in (0, 2, 4, 6)], axis=-1)
    return _halves(stored, 108) * ((lows | highs << 4).astype(np.int16) - 32), None


def _q6_k(stored: Array) -> tuple[Array, None]:
    """16 signed scales of 8 bits before the last two bytes."""
    return _halves(stored, 208) * stored[..., 192:208].view(np.int8), None


def _nibbles(stored: Array) -> Array:
    """The last 16 bytes: elements 0 to 15 in the low halves, 16 to 31 in the high ones."""
    halves = stored[..., -16:]
    return np.concatenate([halves & 15, halves >> 4], axis=-1)


def _five_bits(stored: Array) -> Array:
    """The fifth bits in the four bytes before the halves."""
    highs = np.unpackbits(stored[..., -20:-16], axis=-1, bitorder="little")
    return np.asarray(_nibbles(stored) | highs << 4)


_IQ4_NL = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113])
"""What the numbers of a non-linear type stand for (kvalues_iq4nl)."""


def _looked_up(stored: Array) -> Array:
    return (_IQ4_NL + 128).astype(np.uint8)[_nibbles(stored)]


def _bytes(stored: Array) -> Array:
    return np.asarray(stored[..., 2:] ^ 128)


def _pairs_k(stored: Array, begin: int) -> Array:
    """Halves of 128 elements: 32 bytes with four times two bits."""
    pairs = stored[..., begin : begin + 64].reshape(*stored.shape[:-1], 2, 1, 32)
    return (pairs >> _TWOS & 3).reshape(*stored.shape[:-1], 8, 32)


def _two_bits_k(stored: Array) -> Array:
    return _pairs_k(stored, 16)


def _three_bits_k(stored: Array) -> Array:
    """The third bits: bit j of the first 32 bytes belongs to the elements from 32 j on."""
    return np.asarray(_pairs_k(stored, 32) | (stored[..., None, :32] >> _ONES & 1) << 2)


def _nibbles_k(stored: Array) -> Array:
    """The last 128 bytes; of 32 each the low halves are 32 elements and the high ones the next."""
    halves = stored[..., -128:].reshape(*stored.shape[:-1], 4, 1, 32)
    return np.concatenate([halves & 15, halves >> 4], axis=-2).reshape(*stored.shape[:-1], 8, 32)


def _five_bits_k(stored: Array) -> Array:
    """The fifth bits: bit j of the bytes 16 to 48 belongs to the elements from 32 j on."""
    return np.asarray(_nibbles_k(stored) | (stored[..., None, 16:48] >> _ONES & 1) << 4)


def _six_bits_k(stored: Array) -> Array:
    """Halves of 128 elements: 64 bytes with four low bits, 32 with four times two high ones."""
    low = stored[..., :128].reshape(*stored.shape[:-1], 2, 1, 64)
    lows = np.concatenate([low & 15, low >> 4], axis=-2).reshape(*stored.shape[:-1], 8, 32)
    return np.asarray(lows | _pairs_k(stored, 128) << 4)


_ONES = np.arange(8, dtype=np.uint8)[:, None]
_TWOS = np.array([0, 2, 4, 6], np.uint8)[:, None]

BLOCKS: dict[DType, Blocks] = {
    DType.Q4_0: Blocks(4, 32, 8, False, _scale, _nibbles),
    DType.Q4_1: Blocks(4, 32, 0, True, _scale_and_minimum, _nibbles),
    DType.Q5_0: Blocks(5, 32, 16, False, _scale, _five_bits),
    DType.Q5_1: Blocks(5, 32, 0, True, _scale_and_minimum, _five_bits),
    DType.Q8_0: Blocks(8, 32, 128, False, _scale, _bytes),
    DType.IQ4_NL: Blocks(8, 32, 128, False, _scale, _looked_up),
    DType.Q2_K: Blocks(2, 16, 0, True, _q2_k, _two_bits_k),
    DType.Q3_K: Blocks(3, 16, 4, False, _q3_k, _three_bits_k),
    DType.Q4_K: Blocks(4, 32, 0, True, _six_bits, _nibbles_k),
    DType.Q5_K: Blocks(5, 32, 0, True, _six_bits, _five_bits_k),
    DType.Q6_K: Blocks(6, 16, 32, False, _q6_k, _six_bits_k),
}
"""The types that are whole numbers times a scale for at least 16 neighbours."""
