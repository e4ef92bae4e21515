"""Metadata values as GGUF bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

import numpy as np

from ollamax.gguf.value import MAX_DEPTH, STORAGE, ValueType

_TYPE_OF = {dtype: kind for kind, dtype in STORAGE.items()}


def encode_string(text: str) -> bytes:
    """The length in bytes and the UTF-8 of ``text``; raises ValueError for lone surrogates."""
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def encode_value(value: object) -> bytes:
    """A value's type and bytes.

    bool, str and NumPy scalars and arrays have a type of their own. Other numbers take the type that llama.cpp's
    converters use: a float float32; an int uint32, or int32 if it is negative, or 64 bits if it needs them; a
    list of ints int32 or 64 bits, of floats float32. Where another type is wanted, pass a NumPy scalar or array.
    An empty list becomes an array of strings. Raises ValueError for what GGUF cannot hold.
    """
    if isinstance(value, str):
        return _kind(ValueType.STRING) + encode_string(value)
    if isinstance(value, list | tuple):
        return _kind(ValueType.ARRAY) + _encode_list(value, 1)
    if isinstance(value, np.ndarray):
        return _kind(ValueType.ARRAY) + _encode_array(value)
    scalar = _typed(value)
    kind = _type_of(scalar.dtype)
    return _kind(kind) + np.array(scalar, STORAGE[kind]).tobytes()


def _kind(kind: ValueType) -> bytes:
    return struct.pack("<I", kind)


def _type_of(dtype: np.dtype[Any]) -> ValueType:
    kind = _TYPE_OF.get(dtype.newbyteorder("<"))
    if kind is None:
        raise ValueError(f"GGUF has no metadata type for NumPy's {dtype}")
    return kind


def _typed(value: object) -> np.generic:
    """A scalar with the type in which it is stored."""
    if isinstance(value, np.generic):
        return value
    if isinstance(value, bool):
        return np.bool(value)
    if isinstance(value, int):
        return _smallest((np.uint32, np.int32, np.int64, np.uint64), value, value)(value)
    if isinstance(value, float):
        return np.float32(_float32([value])[0])
    raise ValueError(f"GGUF has no metadata type for {type(value).__name__}")


def _smallest(types: Iterable[type[np.integer[Any]]], low: int, high: int) -> type[np.integer[Any]]:
    """The first of ``types`` which holds ``low`` to ``high``."""
    for candidate in types:
        bounds = np.iinfo(candidate)
        if bounds.min <= low and high <= bounds.max:
            return candidate
    raise ValueError(f"integers from {low} to {high} do not fit in 64 bits")


def _float32(values: Iterable[float]) -> np.ndarray:
    exact = np.array(values, np.float64)
    with np.errstate(over="ignore"):
        floats = exact.astype(np.float32)
    if not np.array_equal(np.isinf(floats), np.isinf(exact)):
        raise ValueError("a number is too large for float32; pass numpy.float64 to store it")
    return floats


def _encode_list(values: list[Any] | tuple[Any, ...], depth: int) -> bytes:
    if depth > MAX_DEPTH:
        raise ValueError(f"arrays are nested more than {MAX_DEPTH} deep")
    kinds = {type(value) for value in values}
    if kinds <= {str}:
        head = _kind(ValueType.STRING) + struct.pack("<Q", len(values))
        return head + b"".join(map(encode_string, values))
    if kinds <= {list, tuple, np.ndarray}:
        head = _kind(ValueType.ARRAY) + struct.pack("<Q", len(values))
        return head + b"".join(_encode_nested(value, depth + 1) for value in values)
    if kinds == {bool}:
        return _encode_array(np.array(values, np.bool))
    if kinds == {int}:
        kind = _smallest((np.int32, np.int64, np.uint64), min(values), max(values))
        return _encode_array(np.array(values, kind))
    if kinds <= {int, float}:
        return _encode_array(_float32(values))
    if len(kinds) == 1 and isinstance(values[0], np.generic):
        return _encode_array(np.array(values))
    raise ValueError(f"an array of {', '.join(sorted(kind.__name__ for kind in kinds))} cannot be stored")


def _encode_nested(value: list[Any] | tuple[Any, ...] | np.ndarray, depth: int) -> bytes:
    return _encode_array(value) if isinstance(value, np.ndarray) else _encode_list(value, depth)


def _encode_array(array: np.ndarray) -> bytes:
    if array.ndim != 1:
        raise ValueError(f"an array has one dimension, not {array.ndim}; nest lists instead")
    kind = _type_of(array.dtype)
    return _kind(kind) + struct.pack("<Q", len(array)) + array.astype(STORAGE[kind]).tobytes()
