"""A checkpoint seen through its converter: GGUF metadata and tensors, each made when it is asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ollamax.convert.base import Converter
from ollamax.convert.checkpoint import Checkpoint
from ollamax.convert.file_type import QUANTIZATION_VERSION, file_type
from ollamax.errors import ConversionError
from ollamax.types import DType, TensorInfo

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ollamax.convert.base import Array

    Bytes = npt.NDArray[np.uint8]

_FLOATS = {"F32": DType.F32, "F16": DType.F16, "BF16": DType.BF16}


class Conversion:
    """A ``TensorSource`` over an open checkpoint; closing it closes the checkpoint.

    Weights keep the checkpoint's type and are views of its files unless the converter transforms them. Vectors and
    norms become F32, as llama.cpp writes them. Raises ConversionError, with every tensor that has no rule, no
    place, an unsupported type or a shape other than config.json's, before any data is read.
    """

    def __init__(self, checkpoint: Checkpoint, converter: Converter, tokenizer_metadata: Mapping[str, Any]) -> None:
        self._checkpoint, self._converter = checkpoint, converter
        hyper_parameters = converter.hyper_parameters()
        self._sources = _rename(checkpoint, converter)
        self.tensors: dict[str, TensorInfo] = self._describe()
        self._check_shapes()
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
        stored = _FLOATS[self._checkpoint.tensors[source].dtype]
        raw = self._checkpoint.tensor_bytes(source)
        changed = self._converter.transforms(name)
        if not changed and stored == info.dtype:
            return raw
        value = dequantize(raw, stored, info.shape)
        if changed:
            value = self._converter.transform(name, value)
            if value.shape != info.shape:
                raise ConversionError(f"tensor {source}: transformed to {value.shape}; expected {info.shape}")
        return quantize(value, info.dtype)

    def close(self) -> None:
        """Close the checkpoint."""
        self._checkpoint.close()

    def _describe(self) -> dict[str, TensorInfo]:
        tensors = {}
        for name, source in self._sources.items():
            stored = self._checkpoint.tensors[source]
            plain = len(stored.shape) <= 1 or name.endswith("_norm.weight")
            tensors[name] = TensorInfo(name, DType.F32 if plain else _FLOATS[stored.dtype], stored.shape)
        return tensors

    def _add_extras(self) -> dict[str, Array]:
        extras = {}
        for extra in self._converter.extras():
            if extra.name in self.tensors:
                taken = self._sources.get(extra.name, "another added tensor")
                raise ConversionError(f"{taken} has the name {extra.name}, which the converter adds itself")
            self.tensors[extra.name] = TensorInfo(extra.name, DType.F32, tuple(extra.value.shape))
            extras[extra.name] = extra.value
        return extras

    def _check_shapes(self) -> None:
        expected = self._converter.shapes()
        if not expected:
            return
        faults = []
        for name in sorted(expected.keys() | self._sources.keys()):
            if name not in self._sources:
                faults.append(f"{name} is missing ({_shape(expected[name])})")
            elif name not in expected:
                faults.append(f"{self._sources[name]} is not part of such a model")
            elif expected[name] != self.tensors[name].shape:
                actual = _shape(self.tensors[name].shape)
                faults.append(f"{self._sources[name]} is {actual}, not {_shape(expected[name])}")
        if faults:
            directory = self._checkpoint.directory
            raise ConversionError(f"{directory}: config.json and the weights disagree: {'; '.join(faults)}")


def _rename(checkpoint: Checkpoint, converter: Converter) -> dict[str, str]:
    """GGUF names to checkpoint names."""
    sources: dict[str, str] = {}
    faults = []
    for source, stored in checkpoint.tensors.items():
        if converter.skips(source):
            continue
        name = _gguf_name(converter, source)
        if name is None:
            faults.append(f"{source} (no rule for this name)")
        elif name in sources:
            faults.append(f"{source} (becomes {name}, as does {sources[name]})")
        elif stored.dtype not in _FLOATS:
            faults.append(f"{source} (type {stored.dtype}; F32, F16 and BF16 are supported)")
        else:
            sources[name] = source
    if faults:
        raise ConversionError(f"{checkpoint.directory}: {len(faults)} tensors cannot be converted: {', '.join(faults)}")
    return sources


def _gguf_name(converter: Converter, source: str) -> str | None:
    for pattern, replacement in converter.rename:
        match = re.match(pattern, source)
        if match:
            return match.expand(replacement) + source[match.end() :]
    return None


def _name(checkpoint: Checkpoint) -> str:
    # A directory name may hold bytes that are no UTF-8; a GGUF string may not.
    return checkpoint.directory.resolve().name.encode("utf-8", "replace").decode("utf-8")


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) if shape else "a scalar"
