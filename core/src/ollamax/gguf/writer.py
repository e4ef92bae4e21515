"""Writing GGUF files (version 3, little-endian), one tensor in memory at a time."""

from __future__ import annotations

import os
import secrets
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ollamax.errors import GGUFError
from ollamax.gguf.alignment import ALIGNMENT_KEY, DEFAULT_ALIGNMENT, alignment_of
from ollamax.gguf.cursor import HEADER_LIMIT
from ollamax.gguf.encode import encode_string, encode_value
from ollamax.gguf.quote import shown
from ollamax.gguf.signature import MAGIC
from ollamax.gguf.tensor_table import MAX_DIMENSIONS, MAX_NAME_BYTES
from ollamax.mapped_pages import drop_pages
from ollamax.types import TensorInfo

VERSION = 3
# llama.cpp keeps names in GGML_MAX_NAME = 64 bytes with a final NUL.
MAX_TENSOR_NAME_BYTES = 63

Data = Callable[[str], npt.NDArray[np.uint8]]
Progress = Callable[[int, int], object]


class ByteSink(Protocol):
    """What ``write`` is needed of: a binary file, or something that hashes or counts on the way to one."""

    def write(self, data: Any, /) -> object:
        """Take all of ``data``, a bytes-like object."""


def write_gguf(
    path: str | PathLike[str],
    metadata: Mapping[str, Any],
    tensors: Iterable[TensorInfo],
    data: Data,
    *,
    progress: Progress | None = None,
) -> None:
    """Write the file ``path``, replacing one of that name only when everything is on disk.

    ``metadata`` is written in its order; ``encode_value`` says which types its values take. ``data`` gives the
    bytes of a tensor (uint8) and is called once per tensor, in order; ``progress`` is called with the bytes of
    tensor data written so far and their total. Whatever fails, nothing remains of the attempt. Raises GGUFError
    when the content cannot be stored or the disk refuses it.

    The pip package ``gguf`` has a writer too. It drops empty strings and arrays, insists on
    ``general.architecture`` as the first key, and writes to paths only, which a store of hashed blobs cannot use.
    """
    path = Path(path)
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        with partial.open("xb") as file:
            write_gguf_to(file, metadata, tensors, data, origin=path, progress=progress)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise GGUFError(path, f"cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def write_gguf_to(
    sink: ByteSink,
    metadata: Mapping[str, Any],
    tensors: Iterable[TensorInfo],
    data: Data,
    *,
    origin: object = "GGUF",
    progress: Progress | None = None,
) -> int:
    """Like ``write_gguf``, into an open binary file; returns the bytes written, and leaves OSErrors alone.

    ``sink`` needs no ``seek`` or ``tell``. ``origin`` names the file in errors.
    """
    infos = list(tensors)
    alignment = _alignment(metadata, origin)
    header = _encode_header(metadata, infos, alignment, origin)
    sink.write(header)
    total = sum(info.nbytes for info in infos)
    written, done = len(header), 0
    for info in infos:
        # Padding goes before a tensor, not after: nothing follows the last one.
        sink.write(bytes(-written % alignment))
        written += -written % alignment
        array = data(info.name)
        sink.write(_checked(array, info, origin))
        drop_pages(array)
        del array  # before the next one is made
        written += info.nbytes
        done += info.nbytes
        if progress is not None:
            progress(done, total)
    return written


def _checked(array: npt.NDArray[np.uint8], info: TensorInfo, origin: object) -> memoryview:
    if array.dtype != np.uint8 or array.nbytes != info.nbytes:
        problem = f"its data is {array.nbytes} bytes of {array.dtype}, not {info.nbytes} of uint8"
        raise GGUFError(origin, problem, f"tensor {shown(info.name)}")
    return np.ascontiguousarray(array).reshape(-1).data


def _alignment(metadata: Mapping[str, Any], origin: object) -> int:
    value = metadata.get(ALIGNMENT_KEY, DEFAULT_ALIGNMENT)
    if type(value) is int and 0 <= value < 1 << 32:
        value = np.uint32(value)  # the type that it will be written with
    try:
        return alignment_of({ALIGNMENT_KEY: value})
    except ValueError as error:
        raise GGUFError(origin, str(error), f"key {ALIGNMENT_KEY!r}") from error


def _encode_header(metadata: Mapping[str, Any], infos: Sequence[TensorInfo], alignment: int, origin: object) -> bytes:
    parts = [MAGIC, struct.pack("<IQQ", VERSION, len(infos), len(metadata))]
    for key, value in metadata.items():
        try:
            parts += _encode_key(key), encode_value(value)
        except ValueError as error:
            raise GGUFError(origin, str(error), f"key {shown(key)}") from error
    offset, seen = 0, set[str]()
    for info in infos:
        offset += -offset % alignment
        try:
            if info.name in seen:
                raise ValueError("the name occurs twice")
            parts.append(_encode_info(info, offset))
        except ValueError as error:
            raise GGUFError(origin, str(error), f"tensor {shown(info.name)}") from error
        seen.add(info.name)
        offset += info.nbytes
    header = b"".join(parts)
    if len(header) > HEADER_LIMIT:
        raise GGUFError(origin, f"metadata and tensor table take {len(header)} bytes; {HEADER_LIMIT} are allowed")
    return header


def _encode_key(key: str) -> bytes:
    if not 0 < len(key.encode()) <= MAX_NAME_BYTES:
        raise ValueError(f"a key has 1 to {MAX_NAME_BYTES} bytes in UTF-8")
    return encode_string(key)


def _encode_info(info: TensorInfo, offset: int) -> bytes:
    if not 0 < len(info.name.encode()) <= MAX_TENSOR_NAME_BYTES:
        raise ValueError(f"a tensor's name has 1 to {MAX_TENSOR_NAME_BYTES} bytes in UTF-8")
    if not 1 <= len(info.shape) <= MAX_DIMENSIONS:
        raise ValueError(f"a tensor has 1 to {MAX_DIMENSIONS} dimensions, not {len(info.shape)}")
    info.dtype.row_bytes(info.shape[-1])  # raises unless blocks divide the rows
    dimensions = struct.pack(f"<I{len(info.shape)}Q", len(info.shape), *reversed(info.shape))
    return encode_string(info.name) + dimensions + struct.pack("<IQ", info.dtype, offset)
