"""The table of tensors in a GGUF file: names, types, shapes and places, each checked before it is used."""

from __future__ import annotations

from math import prod

from ollamax.errors import GGUFError
from ollamax.gguf.cursor import Cursor
from ollamax.gguf.quote import shown
from ollamax.types import DType, TensorInfo

MAX_DIMENSIONS = 4
# A length, one character, the number of dimensions, one dimension, a type, an offset.
SMALLEST_TENSOR = 8 + 1 + 4 + 8 + 4 + 8
# More than the 64 bytes of GGUF's specification: builds of ggml with a larger GGML_MAX_NAME exist.
MAX_NAME_BYTES = 65535
# Far more elements than any file holds, and few enough that no 64-bit size computed from a shape overflows.
_MAX_ELEMENTS = 1 << 56


def read_name(cursor: Cursor, what: str, where: str) -> str:
    """A key or the name of a tensor."""
    start = cursor.offset
    name = cursor.string(where, f"the {what}")
    if not 0 < len(name.encode()) <= MAX_NAME_BYTES:
        raise cursor.error(f"the {what} has {len(name)} characters; 1 to {MAX_NAME_BYTES} are allowed", where, start)
    return name


def read_tensor_table(cursor: Cursor, count: int, alignment: int) -> tuple[dict[str, TensorInfo], dict[str, int]]:
    """The tensors and the absolute offsets of their bytes; raises GGUFError at the first fault."""
    tensors: dict[str, TensorInfo] = {}
    relative: dict[str, int] = {}
    for index in range(count):
        start = cursor.offset
        name = read_name(cursor, "tensor's name", f"tensor {index} of {count}")
        where = f"tensor {shown(name)}"
        if name in tensors:
            raise cursor.error("the name occurs twice", where, start)
        tensors[name] = _read_info(cursor, name, where)
        place = cursor.offset
        relative[name] = cursor.u64(where, "the offset")
        if relative[name] % alignment:
            raise cursor.error(f"the offset {relative[name]} is no multiple of the alignment {alignment}", where, place)
    base = -(-cursor.offset // alignment) * alignment
    offsets = {name: base + offset for name, offset in relative.items()}
    _check_places(cursor, tensors, offsets)
    return tensors, offsets


def _read_info(cursor: Cursor, name: str, where: str) -> TensorInfo:
    start = cursor.offset
    dimensions = cursor.u32(where, "the number of dimensions")
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise cursor.error(f"it has {dimensions} dimensions; 1 to {MAX_DIMENSIONS} are allowed", where, start)
    sizes = [cursor.u64(where, f"dimension {index}") for index in range(dimensions)]
    if prod(max(size, 1) for size in sizes) > _MAX_ELEMENTS:
        raise cursor.error(f"its dimensions {sizes} are too large", where, start)
    start = cursor.offset
    number = cursor.u32(where, "the type")
    try:
        dtype = DType(number)
    except ValueError:
        raise cursor.error(f"its type {number} is none that is supported", where, start) from None
    if sizes[0] % dtype.block_size:
        raise cursor.error(
            f"its rows of {sizes[0]} elements do not divide into {dtype.name} blocks of {dtype.block_size}",
            where,
            start,
        )
    return TensorInfo(name, dtype, tuple(reversed(sizes)))


def _check_places(cursor: Cursor, tensors: dict[str, TensorInfo], offsets: dict[str, int]) -> None:
    """Every tensor lies inside the file, and no two share a byte."""
    size = len(cursor.data)
    free, before = 0, ""
    for name in sorted((name for name in tensors if tensors[name].nbytes), key=offsets.__getitem__):
        start, nbytes = offsets[name], tensors[name].nbytes
        problem = ""
        if start + nbytes > size:
            problem = f"its {nbytes} bytes end at {start + nbytes}, past the file's {size}; is it complete?"
        elif start < free:
            problem = f"its bytes overlap those of tensor {shown(before)}"
        if problem:
            raise GGUFError(cursor.path, problem, f"tensor {shown(name)}", start)
        free, before = start + nbytes, name
