"""One safetensors file: checked by the safetensors library, read as views of the mapped file.

The library's NumPy interface has no BF16, copies every tensor and does not tell offsets. So it is used for what
it does best, validating a hostile header (length, types, shapes, offsets, full coverage without overlap), and
``data_offsets`` are then taken from the validated header. Format: https://huggingface.co/docs/safetensors.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ollamax.convert.weight_file import StoredTensor, check_name, map_file
from ollamax.errors import CheckpointError
from ollamax.json_file import parse_object

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]

_PREFIX = 8  # the header's length, an unsigned 64-bit little-endian integer
_LARGEST_HEADER = 32 << 20  # the library allows 100 MB, which costs ten times that as Python objects


class SafetensorsFile:
    """An open safetensors file; CheckpointError when it is truncated, malformed or unreadable."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._data: Bytes | None = map_file(path)
        _validate(path)
        self._spans: dict[str, tuple[int, int]] = {}
        self.tensors = self._read_header(self._data)

    def tensor_bytes(self, name: str) -> Bytes:
        """The bytes of one tensor (uint8, flat, read-only): a view of the mapped file."""
        if self._data is None:
            raise CheckpointError(self.path, "already closed")
        start, end = self._spans[name]
        return self._data[start:end]

    def close(self) -> None:
        """Let go of the file; it stays mapped as long as views live."""
        self._data = None

    def _read_header(self, data: Bytes) -> dict[str, StoredTensor]:
        begin = _PREFIX + int.from_bytes(data[:_PREFIX].tobytes(), "little")
        if begin > _LARGEST_HEADER:
            raise CheckpointError(self.path, f"a header of {begin} bytes; at most {_LARGEST_HEADER} are read")
        header = parse_object(self.path, data[_PREFIX:begin].tobytes())
        tensors = {}
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            check_name(self.path, name)
            start, end = (begin + offset for offset in entry["data_offsets"])
            if end > data.size:  # only if the file shrank since it was validated
                raise CheckpointError(self.path, "lies outside the file", where=f"tensor {name}", offset=start)
            tensors[name] = StoredTensor(name, entry["dtype"], tuple(entry["shape"]))
            self._spans[name] = (start, end)
        return tensors


def _validate(path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):
            pass
    except SafetensorError as error:
        reason = str(error).removeprefix("Error while deserializing header: ")
        raise CheckpointError(path, f"damaged or truncated safetensors file: {reason}") from error
    except OSError as error:
        raise CheckpointError(path, f"cannot be read: {error.strerror or error}") from error
