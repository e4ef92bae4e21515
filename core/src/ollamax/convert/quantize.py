"""A tensor source with its weights in another type, quantised tensor by tensor when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ollamax.convert.file_type import QUANTIZATION_VERSION, FileType
from ollamax.convert.mix import choose_types
from ollamax.convert.quantizer import Quantizers
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
_CHUNK_ELEMENTS = 1 << 20  # 4 MiB as F32


class Quantized:
    """A ``TensorSource``: ``source`` as a file of ``kind``; closing it closes ``source``.

    ``choose_types`` says which tensor gets which type; ``quantizers`` (by default core alone) write them.
    ``metadata`` replaces the source's own, as the typed metadata of a GGUF file does. Weights may be F32, F16, BF16 or
    Q8_0, and of fewer bits only with ``requantize``, since their errors then add up. Raises ConversionError at once if
    they are anything else or a type cannot be written, and later if a value is infinite or does not fit; NaN makes NaN
    of its block.
    """

    def __init__(
        self,
        source: TensorSource,
        kind: FileType,
        quantizers: Quantizers | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        requantize: bool = False,
    ) -> None:
        self._source, self._quantizers = source, quantizers or Quantizers()
        self.tensors = choose_types(kind, source.tensors, source.metadata, self._quantizers.dtypes)
        changed = [info for info in self.tensors.values() if self._changes(info)]
        _check_sources([source.tensors[info.name] for info in changed], kind, requantize)
        self._quantizers.require({info.dtype for info in changed}, kind.name)
        self.metadata: Mapping[str, Any] = {
            **(source.metadata if metadata is None else metadata),
            "general.file_type": kind.number,
            "general.quantization_version": QUANTIZATION_VERSION,
        }

    def tensor_bytes(self, name: str) -> Bytes:
        """The bytes of one tensor in its new type; the source's own if the type stays."""
        import numpy as np

        info = self.tensors[name]
        if not self._changes(info):
            return self._source.tensor_bytes(name)
        result = np.empty(info.nbytes, np.uint8)
        done = 0
        for values in self._rows(name):
            _check(values, info)
            part = self._quantizers.quantize(values, info.dtype)
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


def _check_sources(changed: Sequence[TensorInfo], kind: FileType, requantize: bool) -> None:
    """Whether the weights that are to change can be, and may."""
    coarse = [info for info in changed if info.dtype not in _FINE]
    strange = [info for info in coarse if not info.dtype.is_quantized or info.dtype in _UNREADABLE]
    if strange:
        raise ConversionError(f"tensor {strange[0].name} is {strange[0].dtype.name}, which cannot be quantized")
    if coarse and not requantize:
        types = ", ".join(sorted({info.dtype.name for info in coarse}))
        raise ConversionError(
            f"{len(coarse)} weights are {types} already, such as {coarse[0].name}, and quantizing them to {kind.name} "
            "adds to their error; start from the model before it was quantized, or add --allow-requantize"
        )


def _check(values: npt.NDArray[np.float32], info: TensorInfo) -> None:
    import numpy as np

    most = np.fmax.reduce(np.abs(values), axis=None, initial=0.0)  # passes over NaN, of which NaNWatch tells
    if np.isinf(most):
        raise ConversionError(f"tensor {info.name} holds infinity and cannot be quantized")
    # Blocks store their scale as F16: at most the largest value, or less.
    if info.dtype not in (DType.F32, DType.BF16) and most > np.finfo(np.float16).max:
        raise ConversionError(f"tensor {info.name} holds {most:g}, too large for {info.dtype.name}; try BF16")
