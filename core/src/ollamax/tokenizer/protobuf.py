"""Protobuf's wire format, as much of it as a SentencePiece model needs; every length is checked."""

from __future__ import annotations

import struct
from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def message(field: int, data: bytes) -> bytes:
    """A field that holds bytes: a text or another message."""
    return varint(field << 3 | BYTES) + varint(len(data)) + data


def number(field: int, value: int) -> bytes:
    """A field that holds a non-negative integer."""
    return varint(field << 3 | VARINT) + varint(value)


def float32(field: int, value: float) -> bytes:
    """A field that holds a float."""
    return varint(field << 3 | FIXED32) + struct.pack("<f", value)


def varint(value: int) -> bytes:
    """Seven bits a byte, lowest first; the high bit says that more follow."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def fields(data: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Field numbers and values of a message: varints as int, fixed32 as float, lengths as bytes, fixed64 as int.

    Raises ValueError, saying where, when the bytes break the format or end too early.
    """
    offset = 0
    while offset < len(data):
        tag, offset = _read_varint(data, offset)
        size = {FIXED64: 8, FIXED32: 4}.get(tag & 7)
        if tag & 7 == VARINT:
            value, offset = _read_varint(data, offset)
            yield tag >> 3, value
            continue
        if tag & 7 == BYTES:
            size, offset = _read_varint(data, offset)
        if size is None:
            raise ValueError(f"wire type {tag & 7} at byte {offset} is not supported")
        if size > len(data) - offset:
            raise ValueError(f"{size} bytes at byte {offset} reach past the end")
        raw = data[offset : offset + size]
        offset += size
        if tag & 7 == FIXED32:
            yield tag >> 3, struct.unpack("<f", raw)[0]
        else:
            yield tag >> 3, raw if tag & 7 == BYTES else int.from_bytes(raw, "little")


def _read_varint(data: bytes, offset: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(data[offset : offset + 10]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, offset + index + 1
    raise ValueError(f"the number at byte {offset} does not end")
