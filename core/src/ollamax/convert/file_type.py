"""``general.file_type``: the storage type that most of a model has, and the file types that can be written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ollamax.errors import UsageError
from ollamax.types import DType, TensorInfo

QUANTIZATION_VERSION = 2  # GGML_QNT_VERSION of ggml.h


@dataclass(frozen=True, slots=True)
class FileType:
    """A kind of file: its name, its number (enum llama_ftype of llama.h) and the type of most of its weights."""

    name: str
    number: int
    base: DType


WRITABLE: dict[str, FileType] = {
    kind.name: kind
    for kind in (
        FileType("F32", 0, DType.F32),
        FileType("F16", 1, DType.F16),
        FileType("BF16", 32, DType.BF16),
        FileType("Q8_0", 7, DType.Q8_0),
        FileType("Q6_K", 18, DType.Q6_K),
        FileType("Q5_K_M", 17, DType.Q5_K),
        FileType("Q5_K_S", 16, DType.Q5_K),
        FileType("Q5_1", 9, DType.Q5_1),
        FileType("Q5_0", 8, DType.Q5_0),
        FileType("Q4_K_M", 15, DType.Q4_K),
        FileType("Q4_K_S", 14, DType.Q4_K),
        FileType("IQ4_NL", 25, DType.IQ4_NL),
        FileType("IQ4_XS", 30, DType.IQ4_XS),
        FileType("Q4_1", 3, DType.Q4_1),
        FileType("Q4_0", 2, DType.Q4_0),
        FileType("Q3_K_L", 13, DType.Q3_K),
        FileType("Q3_K_M", 12, DType.Q3_K),
        FileType("Q3_K_S", 11, DType.Q3_K),
        FileType("IQ3_M", 27, DType.IQ3_S),
        FileType("IQ3_S", 26, DType.IQ3_S),
        FileType("Q2_K", 10, DType.Q2_K),
        FileType("TQ2_0", 37, DType.TQ2_0),
        FileType("TQ1_0", 36, DType.TQ1_0),
    )
}
"""By name, from most to fewest bits. Some need a quantizer from a plugin, see :mod:`ollamax.convert.quantizer`."""

# llama-quantize reads these as the medium mix too.
_ALIASES = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}
_IMPORTANCE = ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ3_XXS", "IQ3_XS", "Q2_K_S")


def file_type(tensors: Iterable[TensorInfo]) -> int:
    """``general.file_type`` of a model with ``tensors`` of F32, F16 and BF16: the type of most of the elements."""
    elements = Counter[DType]()
    for tensor in tensors:
        elements[tensor.dtype] += tensor.elements
    most = elements.most_common(1)[0][0] if elements else DType.F32
    return WRITABLE[most.name].number


def file_type_name(value: object) -> str:
    """The name of a ``general.file_type``, such as Q8_0 or Q4_K_M; "unknown" for what is none."""
    from gguf import LlamaFileType

    try:
        return str(LlamaFileType(value).name).removeprefix("MOSTLY_").removeprefix("ALL_")
    except ValueError:
        return "unknown"


def parse_file_type(name: str) -> FileType:
    """The file type called ``name`` (any case, ``Q8_0`` or ``q8_0``); UsageError says which there are."""
    upper = name.upper()
    if found := WRITABLE.get(_ALIASES.get(upper, upper)):
        return found
    if upper in _IMPORTANCE:
        raise UsageError(f"{upper} needs an importance matrix, which ollamax does not make; choose Q2_K, IQ3_S or more")
    known = ", ".join(WRITABLE)
    raise UsageError(f"cannot quantize to {name!a:.40}; the types that can be written are {known}")
