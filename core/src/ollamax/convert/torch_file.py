"""One file of PyTorch weights: a state dict that torch.save wrote, read without torch and as views of the file.

Format: torch's docs/source/notes/serialization.rst for the zip archive (torch 1.6 and later), and
``_legacy_save`` of torch/serialization.py for the older one: pickles of a magic number, a version, the machine,
the state dict and the storages' keys, and then each storage as a 64-bit count and its values.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ollamax.convert.state_dict_pickle import StateDictPickle, Storage, StridedTensor
from ollamax.convert.torch_archive import TorchArchive
from ollamax.convert.weight_file import StoredTensor, check_name, map_file
from ollamax.errors import CheckpointError
from ollamax.json_file import MiB
from ollamax.mapped_pages import drop_pages

if TYPE_CHECKING:
    from ollamax.convert.weight_file import Bytes

_LARGEST_PICKLE = 32 * MiB
_ZIP = b"PK\x03\x04"
_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_SIZES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


class TorchFile:
    """An open file of PyTorch weights; CheckpointError when it is truncated, malformed, hostile or no state dict.

    A tensor whose elements lie in order is a view of the mapped file; others (transposed, sliced) are copied when
    they are asked for.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._data: Bytes | None = map_file(path)
        data = self._data
        value, self._spans = self._open_archive(data) if data[:4].tobytes() == _ZIP else self._open_legacy(data)
        self._views = self._state_dict(value)
        self.tensors = {name: StoredTensor(name, view.storage.dtype, view.shape) for name, view in self._views.items()}

    def tensor_bytes(self, name: str) -> Bytes:
        """The bytes of one tensor (uint8, flat, C order); read-only where it is a view of the mapped file."""
        import numpy as np

        if self._data is None:
            raise CheckpointError(self.path, "already closed")
        view = self._views[name]
        width = _SIZES[view.storage.dtype]
        if 0 in view.shape:
            return np.empty(0, np.uint8)
        start = self._spans[view.storage.key].start + view.offset * width
        # The stride of a single element means nothing, and may be any number.
        strides = [stride * width if size > 1 else 0 for size, stride in zip(view.shape, view.strides, strict=True)]
        strided = np.ndarray(view.shape, f"<u{width}", self._data, start, strides)
        ordered = np.ascontiguousarray(strided)
        if ordered.flags.owndata:
            drop_pages(self._data[self._spans[view.storage.key]])
        return ordered.reshape(-1).view(np.uint8)

    def close(self) -> None:
        """Let go of the file; it stays mapped as long as views live."""
        self._data = None

    def _open_archive(self, data: Bytes) -> tuple[Any, dict[str, slice]]:
        archive = TorchArchive(self.path, data)
        span = archive.span("data.pkl")
        if span.stop - span.start > _LARGEST_PICKLE:
            raise CheckpointError(self.path, f"larger than {_LARGEST_PICKLE} bytes", where="record data.pkl")
        value = StateDictPickle(self.path, BytesIO(data[span].tobytes())).value
        return value, {key: archive.span(f"data/{key}") for key in _storages(value)}

    def _open_legacy(self, data: Bytes) -> tuple[Any, dict[str, slice]]:
        stream = BytesIO(data[:_LARGEST_PICKLE].tobytes())
        if data[:1].tobytes() != b"\x80" or StateDictPickle(self.path, stream).value != _MAGIC:
            raise CheckpointError(self.path, "not a file that torch.save wrote")
        if StateDictPickle(self.path, stream).value != _VERSION:
            raise CheckpointError(self.path, f"its version of torch.save's old format is not {_VERSION}")
        machine = StateDictPickle(self.path, stream).value
        if not isinstance(machine, dict) or machine.get("little_endian") is not True:
            raise CheckpointError(self.path, "its values are not little-endian; save it again on another machine")
        value = StateDictPickle(self.path, stream).value
        keys = StateDictPickle(self.path, stream).value
        return value, self._legacy_spans(data, stream.tell(), keys, _storages(value))

    def _legacy_spans(
        self, data: Bytes, position: int, keys: object, storages: dict[str, list[Storage]]
    ) -> dict[str, slice]:
        spans: dict[str, slice] = {}
        if not isinstance(keys, list) or not all(isinstance(key, str) and key in storages for key in keys):
            raise CheckpointError(self.path, "its list of storages names one that no tensor uses", offset=position)
        for key in keys:
            count = int.from_bytes(data[position : position + 8].tobytes(), "little")
            start = position + 8
            position = start + count * _SIZES[storages[key][0].dtype]
            if position > data.size:
                raise CheckpointError(self.path, "truncated: a storage lies outside the file", offset=start)
            spans[key] = slice(start, position)
        if missing := storages.keys() - spans.keys():
            raise CheckpointError(self.path, "is missing from the file", where=f"storage {min(missing)!a:.80}")
        return spans

    def _state_dict(self, value: object) -> dict[str, StridedTensor]:
        if not isinstance(value, dict) or not value:
            raise CheckpointError(self.path, f"holds a {type(value).__name__}; a state dict of tensors was expected")
        for name, item in value.items():
            check_name(self.path, name)
            if not isinstance(item, StridedTensor):
                problem = f"a {type(item).__name__}, not a tensor; a file that holds only a state dict was expected"
                raise CheckpointError(self.path, problem, where=f"entry {name}")
            span = self._spans[item.storage.key]
            if item.storage.elements * _SIZES[item.storage.dtype] != span.stop - span.start:
                raise CheckpointError(self.path, "its storage has another size than it says", where=f"tensor {name}")
        return value


def _storages(value: object) -> dict[str, list[Storage]]:
    """The storages of a state dict's tensors by key."""
    found: dict[str, list[Storage]] = {}
    for item in value.values() if isinstance(value, dict) else ():
        if isinstance(item, StridedTensor):
            found.setdefault(item.storage.key, []).append(item.storage)
    return found
