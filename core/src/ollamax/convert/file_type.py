"""``general.file_type``: the storage type that most of a model has, and the types that can be written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ollamax.errors import UsageError
from ollamax.types import DType, TensorInfo

# enum llama_ftype of llama.h
FILE_TYPES = {
    DType.F32: 0,
    DType.F16: 1,
    DType.Q4_0: 2,
    DType.Q4_1: 3,
    DType.Q8_0: 7,
    DType.Q5_0: 8,
    DType.Q5_1: 9,
    DType.BF16: 32,
}

WRITABLE = tuple(FILE_TYPES)

QUANTIZATION_VERSION = 2  # GGML_QNT_VERSION of ggml.h


def file_type(tensors: Iterable[TensorInfo]) -> int:
    """``general.file_type`` of a model with ``tensors``: the type of most of the elements."""
    elements = Counter[DType]()
    for tensor in tensors:
        elements[tensor.dtype] += tensor.elements
    return FILE_TYPES[elements.most_common(1)[0][0]] if elements else FILE_TYPES[DType.F32]


def file_type_name(value: object) -> str:
    """The name of a ``general.file_type``, such as Q8_0 or Q4_K_M; "unknown" for what is none."""
    from gguf import LlamaFileType

    try:
        return str(LlamaFileType(value).name).removeprefix("MOSTLY_").removeprefix("ALL_")
    except ValueError:
        return "unknown"


def parse_dtype(name: str) -> DType:
    """The type called ``name`` (any case, ``Q8_0`` or ``q8_0``); UsageError names the types that can be written."""
    for dtype in WRITABLE:
        if dtype.name == name.upper():
            return dtype
    known = ", ".join(dtype.name for dtype in WRITABLE)
    raise UsageError(f"cannot quantize to {name!a:.40}; the types that can be written are {known}")
