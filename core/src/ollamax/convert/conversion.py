"""A checkpoint seen through its converter: GGUF metadata and tensors, each made when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ollamax.convert.base import Converter
from ollamax.convert.checkpoint import Checkpoint
from ollamax.convert.file_type import QUANTIZATION_VERSION, file_type
from ollamax.convert.mapping import FLOATS, MappedTensor, Status, map_tensors
from ollamax.errors import ConversionError
from ollamax.mapped_pages import drop_pages
from ollamax.types import DType, TensorInfo

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ollamax.convert.base import Array

    Bytes = npt.NDArray[np.uint8]


class Conversion:
    """A ``TensorSource`` over an open checkpoint; closing it closes the checkpoint.

    Weights keep the checkpoint's type and are views of its files unless the converter transforms them. Vectors and
    norms become F32, as llama.cpp writes them. Raises ConversionError, with every tensor that has no rule, no
    place, an unsupported type or a shape other than config.json's, before any data is read.
    """

    def __init__(self, checkpoint: Checkpoint, converter: Converter, tokenizer_metadata: Mapping[str, Any]) -> None:
        self._checkpoint, self._converter = checkpoint, converter
        hyper_parameters = converter.hyper_parameters()
        rows = map_tensors(checkpoint.tensors, converter)
        _check(checkpoint, rows)
        mapped = {row.info.name: row for row in rows if row.info is not None}
        self._sources = {name: row.source for name, row in mapped.items()}
        self._first_rows = {name: row.first for name, row in mapped.items()}
        self.tensors: dict[str, TensorInfo] = {name: row.info for name, row in mapped.items() if row.info}
        # Last, because their size follows config.json, which now agrees with weights that exist.
        self._extras = self._add_extras()
        self.metadata: Mapping[str, Any] = {
            "general.architecture": converter.architecture,
            "general.type": "model",
            "general.name": _name(checkpoint),
            "general.file_type": file_type(self.tensors.values()),
            "general.quantization_version": QUANTIZATION_VERSION,
            **hyper_parameters,
            **tokenizer_metadata,
        }

    def tensor_bytes(self, name: str) -> Bytes:
        """The bytes of one tensor as GGUF stores them: a view of the checkpoint's file if nothing changes them."""
        import numpy as np

        from ollamax.ml.dtype import dequantize, quantize

        info = self.tensors[name]
        if name in self._extras:
            return np.ascontiguousarray(self._extras[name], dtype="<f4").reshape(-1).view(np.uint8)
        source = self._sources[name]
        stored = FLOATS[self._checkpoint.tensors[source].dtype]
        raw = self._part(name, self._checkpoint.tensor_bytes(source))
        if not self._converter.transforms(name):
            return raw if stored == info.dtype else quantize(dequantize(raw, stored, info.shape), info.dtype)
        if stored == info.dtype and self._converter.permutes(name):
            words = raw.view(f"<u{stored.block_bytes}").reshape(info.shape)
            moved = np.ascontiguousarray(self._transform(name, words)).reshape(-1).view(np.uint8)
        else:
            moved = quantize(self._transform(name, dequantize(raw, stored, info.shape)), info.dtype)
        drop_pages(raw)
        return moved

    def _part(self, name: str, raw: Bytes) -> Bytes:
        """The bytes of this tensor's rows, where the checkpoint holds it fused with others."""
        info = self.tensors[name]
        stored = self._checkpoint.tensors[self._sources[name]]
        if info.shape == tuple(stored.shape):
            return raw
        row = len(raw) // stored.shape[0]
        start = self._first_rows[name] * row
        return raw[start : start + info.shape[0] * row]

    def _transform(self, name: str, value: Array) -> Array:
        changed = self._converter.transform(name, value)
        if changed.shape != value.shape:
            source = self._sources[name]
            raise ConversionError(f"tensor {source}: transformed to {changed.shape}; expected {value.shape}")
        return changed

    def close(self) -> None:
        """Close the checkpoint."""
        self._checkpoint.close()

    def _add_extras(self) -> dict[str, Array]:
        extras = {}
        for extra in self._converter.extras():
            if extra.name in self.tensors:
                taken = self._sources.get(extra.name, "another added tensor")
                raise ConversionError(f"{taken} has the name {extra.name}, which the converter adds itself")
            self.tensors[extra.name] = TensorInfo(extra.name, DType.F32, tuple(extra.value.shape))
            extras[extra.name] = extra.value
        return extras


def _check(checkpoint: Checkpoint, rows: Iterable[MappedTensor]) -> None:
    """Raise ConversionError with everything that is wrong with names and types, else with shapes."""
    faults = [row for row in rows if row.status.fails]
    unmapped = [row.problem for row in faults if row.status is Status.UNMAPPED]
    if unmapped:
        count = len(unmapped)
        raise ConversionError(f"{checkpoint.directory}: {count} tensors cannot be converted: {', '.join(unmapped)}")
    if faults:
        problems = "; ".join(row.problem for row in faults)
        raise ConversionError(f"{checkpoint.directory}: config.json and the weights disagree: {problems}")


def _name(checkpoint: Checkpoint) -> str:
    # A directory name may hold bytes that are no UTF-8; a GGUF string may not.
    return checkpoint.directory.resolve().name.encode("utf-8", "replace").decode("utf-8")
