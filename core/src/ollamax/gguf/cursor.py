"""Bounds-checked reading of the part of a GGUF file that comes before the tensor data."""

from __future__ import annotations

import mmap
import struct

import numpy as np

from ollamax.errors import GGUFError
from ollamax.gguf.value import MAX_DEPTH, SMALLEST, STORAGE, ValueType

# The header, metadata and tensor table must fit in it. The largest vocabularies take about 20 MB;
# without a limit, a sparse file could make the reader build billions of objects.
HEADER_LIMIT = 1 << 28

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


class Cursor:
    """A position in a mapped file; every read is checked against the end first."""

    def __init__(self, path: str, data: mmap.mmap) -> None:
        self.path, self.data, self.offset = path, data, 0
        self.end = min(len(data), HEADER_LIMIT)

    def error(self, problem: str, where: str | None = None, offset: int | None = None) -> GGUFError:
        """An error about ``where``, at ``offset`` or else at the current position."""
        return GGUFError(self.path, problem, where, self.offset if offset is None else offset)

    def need(self, size: int, where: str, what: str) -> None:
        """Raise unless ``size`` more bytes can be read."""
        left = self.end - self.offset
        if size > left:
            stop = "the file ends" if self.end == len(self.data) else f"the header's limit of {HEADER_LIMIT} bytes"
            raise self.error(f"{what} needs {size} bytes, but {stop} after {left}", where)

    def skip(self, size: int) -> int:
        """Step over ``size`` bytes that ``need`` has granted; returns where they start."""
        start = self.offset
        self.offset += size
        return start

    def u32(self, where: str, what: str) -> int:
        """An unsigned 32-bit number."""
        self.need(4, where, what)
        value: int = _U32.unpack_from(self.data, self.skip(4))[0]
        return value

    def u64(self, where: str, what: str) -> int:
        """An unsigned 64-bit number."""
        self.need(8, where, what)
        value: int = _U64.unpack_from(self.data, self.skip(8))[0]
        return value

    def count(self, where: str, what: str, smallest: int) -> int:
        """A count of items of at least ``smallest`` bytes each, which the rest of the file can hold."""
        start = self.offset
        count = self.u64(where, what)
        if count * smallest > self.end - self.offset:
            raise self.error(
                f"{what} is {count}, but the {self.end - self.offset} bytes that follow hold at most "
                f"{(self.end - self.offset) // smallest}",
                where,
                start,
            )
        return count

    def string(self, where: str, what: str) -> str:
        """A length and that many bytes of UTF-8."""
        start = self.offset
        size = self.u64(where, f"the length of {what}")
        self.need(size, where, what)
        first = self.skip(size)
        try:
            return self.data[first : self.offset].decode()
        except UnicodeDecodeError as error:
            raise self.error(f"{what} is not UTF-8: {error.reason}", where, start) from None

    def value_type(self, where: str, what: str) -> ValueType:
        """A value's type."""
        start = self.offset
        number = self.u32(where, what)
        try:
            return ValueType(number)
        except ValueError:
            raise self.error(f"{what} is {number}; GGUF defines 0 to {max(ValueType)}", where, start) from None

    def value(self, where: str) -> object:
        """A metadata value with its type: str, a NumPy scalar, a NumPy array, or a list."""
        kind = self.value_type(where, "the value type")
        if kind is ValueType.STRING:
            return self.string(where, "the string")
        if kind is ValueType.ARRAY:
            return self.array(where, 1)
        return self.numbers(kind, 1, where)[0]

    def array(self, where: str, depth: int) -> object:
        """An array: numbers as a read-only NumPy array, strings and arrays as a list."""
        if depth > MAX_DEPTH:
            raise self.error(f"arrays are nested more than {MAX_DEPTH} deep", where)
        kind = self.value_type(where, "the array's element type")
        count = self.count(where, "the array's length", SMALLEST[kind])
        if kind is ValueType.STRING:
            return self.strings(count, where)
        if kind is ValueType.ARRAY:
            return [self.array(where, depth + 1) for _ in range(count)]
        return self.numbers(kind, count, where)

    def numbers(self, kind: ValueType, count: int, where: str) -> np.ndarray:
        """``count`` numbers or truth values, copied out of the file."""
        dtype = STORAGE[kind]
        self.need(count * dtype.itemsize, where, f"{count} x {kind.name}")
        start = self.skip(count * dtype.itemsize)
        raw = self.data[start : self.offset]
        if kind is ValueType.BOOL and raw.strip(b"\0\1"):
            wrong = next(place for place, byte in enumerate(raw) if byte > 1)
            raise self.error(f"a bool is 0 or 1, not {raw[wrong]}", where, start + wrong)
        return np.frombuffer(raw, dtype)

    def strings(self, count: int, where: str) -> list[str]:
        """``count`` strings. One tight loop: vocabularies have hundreds of thousands."""
        data, end, at, unpack = self.data, self.end, self.offset, _U64.unpack_from
        result: list[str] = []
        append, start = result.append, at
        try:
            for _ in range(count):
                start = at + 8
                at = start + unpack(data, at)[0]
                if at > end:
                    break
                append(data[start:at].decode())
        except struct.error:  # fewer than 8 bytes are left for a length
            at = end + 1
        except UnicodeDecodeError as error:
            raise self.error(f"element {len(result)} is not UTF-8: {error.reason}", where, start - 8) from None
        if at > end:
            raise self.error(f"element {len(result)} of {count} strings runs past the end", where, start - 8)
        self.offset = at
        return result
