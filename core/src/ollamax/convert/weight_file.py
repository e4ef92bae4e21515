"""What a file of weights looks like, whatever its format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ollamax.errors import CheckpointError
from ollamax.json_file import check_pointer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]

_LONGEST_NAME = 256


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor in a checkpoint, with its row-major shape; ``dtype`` is spelled as in safetensors (BF16, F8_E4M3)."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class WeightFile(Protocol):
    """An open file of named tensors, checked when it was opened."""

    path: Path

    @property
    def tensors(self) -> Mapping[str, StoredTensor]:
        """All tensors by the file's own names."""

    def tensor_bytes(self, name: str) -> Bytes:
        """The bytes of one tensor (uint8, flat, little-endian, C order); a view of the mapped file where it can be."""

    def close(self) -> None:
        """Let go of the file; it stays mapped as long as views live."""


def check_name(path: Path, name: object) -> str:
    """``name`` if it can be a tensor's; CheckpointError otherwise."""
    if not (isinstance(name, str) and name.isascii() and name.isprintable() and len(name) <= _LONGEST_NAME):
        shown = ascii(name[:80]) if isinstance(name, str) else f"of type {type(name).__name__}"
        raise CheckpointError(path, "a tensor name that is no text, too long or not printable", shown)
    return name


def map_file(path: Path) -> Bytes:
    """The file as bytes, mapped read-only; CheckpointError when it is empty, irregular, unreadable or a pointer."""
    import numpy as np

    try:
        if not path.is_file():  # a pipe or a device would block or never end
            raise CheckpointError(path, "not a regular file")
        if not path.stat().st_size:
            raise CheckpointError(path, "the file is empty")
        data = np.memmap(path, dtype=np.uint8, mode="r")
    except (OSError, ValueError) as error:
        raise CheckpointError(path, f"cannot be mapped: {error}") from error
    check_pointer(path, data[:64].tobytes())
    return data
