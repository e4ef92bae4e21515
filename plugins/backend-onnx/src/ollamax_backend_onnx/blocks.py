"""Weights in blocks as the runtime's MatMulNBits takes them: the numbers and scales of the file, in another order.

A block's values are ``scale * n + minimum`` with whole numbers ``n``. MatMulNBits computes
``scale * (u - 2^(bits - 1))`` with unsigned ``u``; what is left is an offset for each block, which is multiplied with
the sum of the block's inputs.
The layouts of the blocks are those of ggml's ggml-common.h.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ollamax.ml.dtype import dequantize
from ollamax.types import DType
from ollamax_backend_onnx.packed import Form, Packed

if TYPE_CHECKING:
    import numpy.typing as npt

    from ollamax.backend import Weight
    from ollamax.types import TensorInfo

    Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Layout:
    """Whole numbers from ``low`` on take ``bits``; ``scales`` reads each block's scale and minimum (or None).

    ``numbers`` reads ``n - low`` of every element; where it is None they follow from the values.
    """

    bits: int
    block: int
    low: int
    scales: Callable[[Array], tuple[Array, Array | None]]
    numbers: Callable[[Array], Array] | None = None


def packed_bytes(matrix: TensorInfo) -> int:
    """Bytes of memory that a product with ``matrix`` reads: numbers, scales and offsets, or float32."""
    form = form_of(matrix)
    return 4 * matrix.elements if form is None else form.nbytes


def form_of(matrix: Weight | TensorInfo) -> Form | None:
    """The sizes of a matrix once it is packed; None for a type that has no such form."""
    layout = LAYOUTS.get(matrix.dtype)
    if layout is None:
        return None
    out, width = matrix.shape
    return Form(layout.bits, layout.block, out, width // layout.block, matrix.dtype in _WITH_MINIMUM)


_WITH_MINIMUM = frozenset({DType.Q4_1, DType.Q5_1, DType.Q2_K, DType.Q4_K, DType.Q5_K})

_CHUNK = 1 << 20
"""Elements converted at a time."""


def pack(weight: Weight, form: Form, put: Callable[[int, Array], None], threads: int = 1) -> bool:
    """Pack a weight of that form; False where it has none after all, since its scales are no numbers.

    ``put`` stores an array at a place of the form's bytes; several threads call it.
    """
    layout, width = LAYOUTS[weight.dtype], form.block * form.count
    stored = weight.data.reshape(form.out, -1, weight.dtype.block_bytes)
    step = max(1, _CHUNK // width)

    def convert(start: int) -> bool:
        part = stored[start : start + step]
        with np.errstate(all="ignore"):  # a damaged file's scales may be no numbers
            found = _pack_rows(weight.dtype, layout, part)
        if not found:
            return False
        for place, array in zip(form.places(start), found, strict=True):
            put(place, array)
        return True

    with ThreadPoolExecutor(threads) as workers:
        return all(workers.map(convert, range(0, form.out, step)))


def pack_in_memory(weight: Weight, form: Form, threads: int = 1) -> Packed | None:
    """The weight, or None where ``pack`` says so."""
    data = np.empty(form.nbytes, np.uint8)

    def put(place: int, array: Array) -> None:
        data[place : place + array.nbytes] = array.reshape(-1).view(np.uint8)

    return form.packed(data) if pack(weight, form, put, threads) else None


def _pack_rows(dtype: DType, layout: Layout, stored: Array) -> list[Array]:
    """Rows of numbers, scales and offsets; nothing where values would be lost."""
    rows = len(stored)
    found, minima = layout.scales(stored)
    scales = np.ascontiguousarray(found.reshape(rows, -1), np.float32)
    minimum = None if minima is None else minima.reshape(scales.shape)
    if not (np.isfinite(scales).all() and (minimum is None or np.isfinite(minimum).all())):
        return []
    if layout.numbers is None:
        lowest = np.zeros_like(scales) if minimum is None else minimum
        unsigned = _from_values(dtype, layout, stored, scales, lowest)
    else:
        unsigned = layout.numbers(stored)
    if unsigned is None:
        return []
    numbers = unsigned.reshape(rows, -1)
    if layout.bits == 4:
        pairs = numbers.view("<u2")  # whole rows at once are ten times as fast as every second number
        numbers = (pairs | pairs >> 4).astype(np.uint8)
    if minimum is None:
        return [numbers, scales]
    return [numbers, scales, minimum + scales * np.float32(layout.low + (1 << (layout.bits - 1)))]


def _from_values(dtype: DType, layout: Layout, stored: Array, scales: Array, minimum: Array) -> Array | None:
    """What the values are multiples of; None where they are not."""
    rows, width = len(stored), stored.shape[1] * dtype.block_size
    values = dequantize(np.ascontiguousarray(stored).reshape(-1), dtype, (rows, width))
    values = values.reshape(rows, -1, layout.block)
    factors = np.divide(1.0, scales, out=np.zeros_like(scales), where=scales != 0)
    whole = np.rint((values - minimum[..., None]) * factors[..., None])
    if not _same(whole * scales[..., None] + minimum[..., None], values):
        return None
    unsigned = whole.astype(np.int16) - layout.low
    if unsigned.min() < 0 or unsigned.max() >= 1 << layout.bits:
        return None
    return unsigned.astype(np.uint8)


def _same(found: Array, values: Array) -> bool:
    """Whether nothing was lost but the last bits of float32, of which ``scale * n + minimum`` rounds some."""
    most = np.abs(values).max(axis=-1, keepdims=True)
    return bool((np.abs(found - values) <= most * np.float32(2**-21)).all())


def _halves(stored: Array, place: int) -> Array:
    """The float16 at ``place`` of each block, as float32."""
    return stored[..., place : place + 2].copy().view(np.float16).astype(np.float32)


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


def _bytes(stored: Array) -> Array:
    return np.asarray(stored[..., 2:] ^ 128)


def _nibbles_k(stored: Array) -> Array:
    """Q4_K and Q5_K: the last 128 bytes; of 32 each the low halves are a block and the high ones the next."""
    halves = stored[..., -128:].reshape(*stored.shape[:-1], 4, 1, 32)
    return np.concatenate([halves & 15, halves >> 4], axis=-2).reshape(*stored.shape[:-1], 8, 32)


def _five_bits_k(stored: Array) -> Array:
    """The fifth bits: bit j of the bytes 16 to 48 belongs to block j."""
    shifts = np.arange(8, dtype=np.uint8)[:, None]
    return np.asarray(_nibbles_k(stored) | (stored[..., None, 16:48] >> shifts & 1) << 4 | 128)


def _six_bits_k(stored: Array) -> Array:
    """Halves of 128 elements: 64 bytes with four low bits, 32 with four times two high ones."""
    low = stored[..., :128].reshape(*stored.shape[:-1], 2, 1, 64)
    high = stored[..., 128:192].reshape(*stored.shape[:-1], 2, 1, 32)
    lows = np.concatenate([low & 15, low >> 4], axis=-2).reshape(*stored.shape[:-1], 2, 4, 32)
    shifts = np.array([0, 2, 4, 6], np.uint8)[:, None]
    return np.asarray((lows | (high >> shifts & 3) << 4) + np.uint8(96))


LAYOUTS: dict[DType, Layout] = {
    DType.Q4_0: Layout(4, 32, -8, _scale, _nibbles),
    DType.Q4_1: Layout(4, 32, 0, _scale_and_minimum, _nibbles),
    DType.Q5_0: Layout(8, 32, -128, _scale),
    DType.Q5_1: Layout(8, 32, -128, _scale_and_minimum),
    DType.Q8_0: Layout(8, 32, -128, _scale, _bytes),
    DType.IQ4_NL: Layout(8, 32, -128, _scale),
    DType.Q2_K: Layout(4, 16, -8, _q2_k),
    DType.Q3_K: Layout(4, 16, -8, _q3_k),
    DType.Q4_K: Layout(4, 32, 0, _six_bits, _nibbles_k),
    DType.Q5_K: Layout(8, 32, -128, _six_bits, _five_bits_k),
    DType.Q6_K: Layout(8, 16, -128, _q6_k, _six_bits_k),
}
