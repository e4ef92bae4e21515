"""Tensor storage types: stored bytes to float32 values and back."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ollamax.errors import ConversionError
from ollamax.types import DType

__all__ = ["DType", "can_quantize", "dequantize", "quantize"]

# Plain types, little-endian as in the file.
_PLAIN: dict[DType, np.dtype[Any]] = {
    DType.F32: np.dtype("<f4"),
    DType.F16: np.dtype("<f2"),
    DType.F64: np.dtype("<f8"),
    DType.I8: np.dtype("<i1"),
    DType.I16: np.dtype("<i2"),
    DType.I32: np.dtype("<i4"),
    DType.I64: np.dtype("<i8"),
}

# The types that ``quantize`` writes. The others need a search for their scales that gguf does not implement.
can_quantize: frozenset[DType] = frozenset(
    {
        DType.F32,
        DType.F16,
        DType.BF16,
        DType.Q4_0,
        DType.Q4_1,
        DType.Q5_0,
        DType.Q5_1,
        DType.Q8_0,
        DType.TQ1_0,
        DType.TQ2_0,
        DType.MXFP4,
    }
)

# Elements converted at a time: gguf's temporaries are a few times as large, and should stay in the cache.
_CHUNK = 1 << 16


def dequantize(data: npt.NDArray[np.uint8], dtype: DType, shape: Sequence[int]) -> npt.NDArray[np.float32]:
    """The values of a stored tensor as float32 of ``shape`` (row-major).

    ``data`` holds the stored bytes (uint8, C order). The result is always a new array. Block formats are decoded by
    ``gguf.quants``, and Q1_0 as ggml-quants.c does; integers and F64 are rounded to the nearest float32. Raises
    ValueError if ``data`` has not the size that ``dtype`` and ``shape`` say, ConversionError for a type that cannot be
    decoded (Q8_1, Q8_K).
    """
    expected = dtype.row_bytes(shape[-1] if shape else 1) * prod(shape[:-1])
    if data.dtype != np.uint8 or data.nbytes != expected:
        raise ValueError(f"{dtype.name} {tuple(shape)} takes {expected} bytes, not {data.nbytes} of {data.dtype}")
    flat = np.ascontiguousarray(data).reshape(-1)
    out = np.empty(prod(shape), np.float32)
    if dtype in _PLAIN:
        with np.errstate(over="ignore"):  # an F64 too large for float32 becomes infinite
            out[:] = flat.view(_PLAIN[dtype])
    elif dtype is DType.BF16:
        # bfloat16 is the upper half of a float32.
        np.left_shift(flat.view("<u2"), np.uint32(16), out=out.view(np.uint32), dtype=np.uint32)
    elif dtype is DType.Q1_0:
        _decode_signs(flat, out)
    else:
        _decode_blocks(flat, dtype, out)
    return out.reshape(shape)


def _decode_signs(data: npt.NDArray[np.uint8], out: npt.NDArray[np.float32]) -> None:
    """Q1_0, which gguf does not know: a float16 scale, then a bit for each element, set where it is positive."""
    size, elements = DType.Q1_0.block_bytes, DType.Q1_0.block_size
    blocks, values = data.reshape(-1, size), out.reshape(-1, elements)
    with np.errstate(invalid="ignore"):  # a damaged file's scale may be NaN
        scales = blocks[:, :2].copy().view("<f2").astype(np.float32)
        signs = np.unpackbits(blocks[:, 2:], axis=1, bitorder="little")
        np.multiply(scales, np.where(signs, np.float32(1), np.float32(-1)), out=values)


def _decode_blocks(data: npt.NDArray[np.uint8], dtype: DType, out: npt.NDArray[np.float32]) -> None:
    from gguf import GGMLQuantizationType, quants

    kind = GGMLQuantizationType(dtype)
    blocks = max(1, _CHUNK // dtype.block_size)
    step, size = blocks * dtype.block_size, blocks * dtype.block_bytes
    try:
        # A float16 scale may be infinite or NaN in a damaged file; so are its values then.
        with np.errstate(all="ignore"):
            for index in range(-(-out.size // step)):
                part = data[index * size : (index + 1) * size]
                out[index * step : (index + 1) * step] = quants.dequantize(part.reshape(1, -1), kind)[0]
    except NotImplementedError:
        raise ConversionError(f"tensors of type {dtype.name} cannot be decoded") from None


def quantize(values: npt.NDArray[np.float32], dtype: DType) -> npt.NDArray[np.uint8]:
    """``values`` as the stored bytes of ``dtype`` (uint8, flat), encoded by ``gguf.quants``.

    Rows (the last dimension) must divide into blocks, or ValueError is raised. F16 and BF16 round to nearest even. As
    in ggml a NaN makes NaN of its block's scale. Raises ConversionError for a type that is not in ``can_quantize``.
    """
    if dtype not in can_quantize:
        names = ", ".join(kind.name for kind in sorted(can_quantize))
        raise ConversionError(f"tensors cannot be written as {dtype.name}; choose one of {names}")
    size = dtype.row_bytes(values.shape[-1] if values.ndim else 1) * prod(values.shape[:-1])
    flat = np.ascontiguousarray(values, np.float32).reshape(-1)
    out = np.empty(size, np.uint8)
    with np.errstate(all="ignore"):  # overflow to infinity, and NaN in blocks that hold one
        if dtype in _PLAIN:
            out.view(_PLAIN[dtype])[:] = flat
        else:
            _encode_blocks(flat, dtype, out)
    return out


def _encode_blocks(values: npt.NDArray[np.float32], dtype: DType, out: npt.NDArray[np.uint8]) -> None:
    from gguf import GGMLQuantizationType, quants

    kind = GGMLQuantizationType(dtype)
    blocks = max(1, _CHUNK // dtype.block_size)
    step, size = blocks * dtype.block_size, blocks * dtype.block_bytes
    for index in range(-(-values.size // step)):
        part = values[index * step : (index + 1) * step]
        out[index * size : (index + 1) * size] = quants.quantize(part.reshape(1, -1), kind)[0]
