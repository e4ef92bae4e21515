"""A tensor source with its weights in another type, quantised tensor by tensor when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ollamax.convert.file_type import FILE_TYPES, QUANTIZATION_VERSION
from ollamax.errors import ConversionError
from ollamax.mapped_pages import drop_pages
from ollamax.types import DType, TensorInfo, TensorSource

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]

# What loses nothing, or next to nothing, when it is quantised again.
_FINE = (DType.F32, DType.F16, DType.BF16, DType.Q8_0)
_UNREADABLE = (DType.Q8_1, DType.Q8_K)  # ggml's own intermediate results
_VISION = ("v.", "mm.")
_CHUNK_ELEMENTS = 1 << 22  # 16 MiB as F32


class Quantized:
    """A ``TensorSource``: ``source`` with its weights in ``dtype``; closing it closes ``source``.

    The choice per tensor is llama.cpp's (src/llama-quant.cpp), as far as it concerns these types:

    - Vectors and norms stay as they are; so does any tensor whose name does not end in ``.weight``.
    - Vision encoders and projectors stay as they are, as Ollama leaves them.
    - The output matrix, or the embedding when it serves as output, keeps more bits: Q8_0 for Q4_0, Q4_1, Q5_0 and
      Q5_1. llama.cpp takes Q6_K there, which gguf's Python code cannot write.
    - Rows that do not divide into blocks become F16.

    ``metadata`` replaces the source's own, as the typed metadata of a GGUF file does. Weights may be F32, F16, BF16 or
    Q8_0, and of fewer bits only with ``requantize``, since their errors then add up. Raises ConversionError at once if
    they are anything else, and later if a value is infinite or does not fit; NaN makes NaN of its block.
    """

    def __init__(
        self,
        source: TensorSource,
        dtype: DType,
        metadata: Mapping[str, Any] | None = None,
        *,
        requantize: bool = False,
    ) -> None:
        self._source = source
        self.tensors = target_types(source.tensors, dtype)
        changed = [source.tensors[name] for name, info in self.tensors.items() if self._changes(info)]
        _check_sources(changed, dtype, requantize)
        self.metadata: Mapping[str, Any] = {
            **(source.metadata if metadata is None else metadata),
            "general.file_type": FILE_TYPES[dtype],
            "general.quantization_version": QUANTIZATION_VERSION,
        }

    def tensor_bytes(self, name: str) -> Bytes:
        """The bytes of one tensor in its new type; the source's own if the type stays."""
        import numpy as np

        from ollamax.ml.dtype import quantize

        info = self.tensors[name]
        if not self._changes(info):
            return self._source.tensor_bytes(name)
        result = np.empty(info.nbytes, np.uint8)
        done = 0
        for values in self._rows(name):
            _check(values, info)
            part = quantize(values, info.dtype).reshape(-1)
            result[done : done + part.size] = part
            done += part.size
        return result

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _changes(self, info: TensorInfo) -> bool:
        return info.dtype != self._source.tensors[info.name].dtype

    def _rows(self, name: str) -> Iterator[npt.NDArray[np.float32]]:
        """The tensor as F32, some rows at a time."""
        from ollamax.ml.dtype import dequantize

        info, raw = self._source.tensors[name], self._source.tensor_bytes(name)
        width = info.shape[-1]
        rows = info.elements // width if width else 0
        step = max(1, _CHUNK_ELEMENTS // max(width, 1))
        bytes_per_row = info.dtype.row_bytes(width)
        for first in range(0, rows, step):
            count = min(step, rows - first)
            part = raw[first * bytes_per_row : (first + count) * bytes_per_row]
            yield dequantize(part, info.dtype, (count, width))
            drop_pages(part)


def _check_sources(changed: Sequence[TensorInfo], dtype: DType, requantize: bool) -> None:
    """Whether the weights that are to change can be, and may."""
    coarse = [info for info in changed if info.dtype not in _FINE]
    strange = [info for info in coarse if not info.dtype.is_quantized or info.dtype in _UNREADABLE]
    if strange:
        raise ConversionError(f"tensor {strange[0].name} is {strange[0].dtype.name}, which cannot be quantized")
    if coarse and not requantize:
        types = ", ".join(sorted({info.dtype.name for info in coarse}))
        raise ConversionError(
            f"{len(coarse)} weights are {types} already, such as {coarse[0].name}, and quantizing them to {dtype.name} "
            "adds to their error; start from the model before it was quantized, or add --allow-requantize"
        )


def target_types(tensors: Mapping[str, TensorInfo], dtype: DType) -> dict[str, TensorInfo]:
    """The tensors of a model that is quantised to ``dtype``, each in the type that ``Quantized`` gives it."""
    untied = "output.weight" in tensors
    return {name: TensorInfo(name, _target(info, dtype, untied), info.shape) for name, info in tensors.items()}


def _target(info: TensorInfo, dtype: DType, untied: bool) -> DType:
    if len(info.shape) < 2 or not info.name.endswith(".weight") or info.name.endswith("_norm.weight"):
        return info.dtype
    if info.name.startswith(_VISION):
        return info.dtype
    if dtype.is_quantized and info.name == ("output.weight" if untied else "token_embd.weight"):
        dtype = DType.Q8_0
    return DType.F16 if info.shape[-1] % dtype.block_size else dtype


def _check(values: npt.NDArray[np.float32], info: TensorInfo) -> None:
    import numpy as np

    most = np.fmax.reduce(np.abs(values), axis=None, initial=0.0)  # passes over NaN, of which NaNWatch tells
    if np.isinf(most):
        raise ConversionError(f"tensor {info.name} holds infinity and cannot be quantized")
    # Blocks store their scale as F16: at most the largest value, or less.
    if info.dtype not in (DType.F32, DType.BF16) and most > np.finfo(np.float16).max:
        raise ConversionError(f"tensor {info.name} holds {most:g}, too large for {info.dtype.name}; try BF16")
