"""The types of GGUF metadata values."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np


class ValueType(IntEnum):
    """A metadata value's type, numbered as in GGUF (``gguf_metadata_value_type`` of ggml's docs/gguf.md)."""

    UINT8 = 0
    INT8 = 1
    UINT16 = 2
    INT16 = 3
    UINT32 = 4
    INT32 = 5
    FLOAT32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    UINT64 = 10
    INT64 = 11
    FLOAT64 = 12


# Arrays of arrays, counting the outermost. No known model nests them at all.
MAX_DEPTH = 4

# Storage of the types with a fixed size; a bool is one byte, 0 or 1.
STORAGE: dict[ValueType, np.dtype[Any]] = {
    ValueType.UINT8: np.dtype("<u1"),
    ValueType.INT8: np.dtype("<i1"),
    ValueType.UINT16: np.dtype("<u2"),
    ValueType.INT16: np.dtype("<i2"),
    ValueType.UINT32: np.dtype("<u4"),
    ValueType.INT32: np.dtype("<i4"),
    ValueType.FLOAT32: np.dtype("<f4"),
    ValueType.BOOL: np.dtype("?"),
    ValueType.UINT64: np.dtype("<u8"),
    ValueType.INT64: np.dtype("<i8"),
    ValueType.FLOAT64: np.dtype("<f8"),
}

# Fewest bytes that a value takes: a string its length, an array its element type and count.
SMALLEST: dict[ValueType, int] = {kind: dtype.itemsize for kind, dtype in STORAGE.items()} | {
    ValueType.STRING: 8,
    ValueType.ARRAY: 12,
}
