"""Weights in blocks as the runtime's MatMulNBits takes them: the numbers and scales of the file, in another order.

MatMulNBits computes ``scale * (u - 2^(bits - 1))`` with unsigned ``u`` of 4 or 8 bits; what is left of a block's values
is an offset, which is multiplied with the sum of the block's inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ollamax.ml.blocks import BLOCKS, take_apart
from ollamax.ml.dtype import dequantize
from ollamax_backend_onnx.packed import Form, Packed

if TYPE_CHECKING:
    from ollamax.backend import Weight
    from ollamax.types import DType, TensorInfo

Array = npt.NDArray[Any]

Put = Callable[[int, Array], None]
"""Stores an array at a place, in bytes, of what is made; several threads call it."""

_CHUNK = 1 << 20
"""Elements converted at a time."""


def packed_bytes(matrix: TensorInfo) -> int:
    """Bytes of memory that a product with ``matrix`` reads: numbers, scales and offsets, or float32.

    The runtime's own form has a float32 more for each block, for the middle of its numbers (SQNBitGemm of its MLAS).
    """
    form = form_of(matrix)
    return 4 * matrix.elements if form is None else form.nbytes + 4 * form.out * form.count


def form_of(matrix: Weight | TensorInfo) -> Form | None:
    """The sizes of a matrix once it is packed; None for a type that has no such form."""
    blocks = BLOCKS.get(matrix.dtype)
    if blocks is None or len(matrix.shape) != 2:
        return None
    out, width = matrix.shape
    return Form(4 if blocks.bits <= 4 else 8, blocks.block, out, width // blocks.block, blocks.has_minimum)


def pack(weight: Weight, form: Form, put: Put, threads: int = 1) -> bool:
    """Pack a weight of that form; False where it has none after all, since its scales are no numbers."""
    stored = weight.data.reshape(form.out, -1, weight.dtype.block_bytes)
    step = max(1, _CHUNK // (form.block * form.count))

    def convert(start: int) -> bool:
        found = _pack_rows(weight.dtype, stored[start : start + step], form.bits)
        if not found:
            return False
        for place, array in zip(form.places(start), found, strict=True):
            put(place, array)
        return True

    return _convert(convert, range(0, form.out, step), threads)


def dequantize_rows(weight: Weight, put: Put, threads: int = 1) -> None:
    """The values as float32, some rows at a time; a row is what the first axis counts."""
    count = len(stored := weight.data.reshape(weight.shape[0], -1))
    size = math.prod(weight.shape[1:])
    step = max(1, _CHUNK // size)

    def convert(start: int) -> bool:
        part = stored[start : start + step]
        put(4 * start * size, dequantize(part.reshape(-1), weight.dtype, (len(part), *weight.shape[1:])))
        return True

    _convert(convert, range(0, count, step), threads)


def pack_in_memory(weight: Weight, form: Form, threads: int = 1) -> Packed | None:
    """The weight, or None where ``pack`` says so."""
    data = np.empty(form.nbytes, np.uint8)

    def put(place: int, array: Array) -> None:
        data[place : place + array.nbytes] = array.reshape(-1).view(np.uint8)

    return form.packed(data) if pack(weight, form, put, threads) else None


def _convert(convert: Callable[[int], bool], starts: Sequence[int], threads: int) -> bool:
    with ThreadPoolExecutor(threads) as workers:
        return all(workers.map(convert, starts))


def _pack_rows(dtype: DType, stored: Array, bits: int) -> list[Array]:
    """Rows of numbers, scales and, where there are minima, offsets; nothing where a scale is no number."""
    blocks, parts = BLOCKS[dtype], take_apart(stored, dtype)
    if parts is None:
        return []
    half = 1 << (blocks.bits - 1)
    shift = (1 << (bits - 1)) - half  # about zero: what the runtime rounds of inputs is multiplied with these numbers
    numbers = parts.numbers + np.uint8(shift) if shift else parts.numbers
    if bits == 4:
        pairs = numbers.view("<u2")  # whole rows at once are ten times as fast as every second number
        numbers = (pairs | pairs >> 4).astype(np.uint8)
    if parts.minima is None:
        return [numbers, parts.scales]
    return [numbers, parts.scales, parts.minima + parts.scales * np.float32(half - blocks.zero)]
