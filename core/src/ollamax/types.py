"""Types that several rooms share: tensor element types, tensor sources and chat messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class DType(IntEnum):
    """A tensor's storage type, numbered as in GGUF (``enum ggml_type``).

    Quantised types store blocks: ``block_size`` elements of a row in ``block_bytes`` bytes.
    """

    F32 = 0
    F16 = 1
    Q4_0 = 2
    Q4_1 = 3
    Q5_0 = 6
    Q5_1 = 7
    Q8_0 = 8
    Q8_1 = 9
    Q2_K = 10
    Q3_K = 11
    Q4_K = 12
    Q5_K = 13
    Q6_K = 14
    Q8_K = 15
    IQ2_XXS = 16
    IQ2_XS = 17
    IQ3_XXS = 18
    IQ1_S = 19
    IQ4_NL = 20
    IQ3_S = 21
    IQ2_S = 22
    IQ4_XS = 23
    I8 = 24
    I16 = 25
    I32 = 26
    I64 = 27
    F64 = 28
    IQ1_M = 29
    BF16 = 30
    TQ1_0 = 34
    TQ2_0 = 35
    MXFP4 = 39
    NVFP4 = 40
    Q1_0 = 41

    @property
    def block_size(self) -> int:
        """Elements in one block; 1 for plain types."""
        return _BLOCKS[self][0]

    @property
    def block_bytes(self) -> int:
        """Bytes of one block."""
        return _BLOCKS[self][1]

    @property
    def is_quantized(self) -> bool:
        """Whether elements are stored in blocks with shared scales."""
        return self.block_size > 1

    def row_bytes(self, elements: int) -> int:
        """Bytes of a row of ``elements``; raises ValueError when blocks do not divide it."""
        blocks, rest = divmod(elements, self.block_size)
        if rest:
            raise ValueError(
                f"a row of {elements} elements does not divide into {self.name} blocks of {self.block_size}"
            )
        return blocks * self.block_bytes


# (elements, bytes) of a block, from the block structs of ggml's ggml-common.h.
_BLOCKS: dict[DType, tuple[int, int]] = {
    DType.F32: (1, 4),
    DType.F16: (1, 2),
    DType.Q4_0: (32, 18),
    DType.Q4_1: (32, 20),
    DType.Q5_0: (32, 22),
    DType.Q5_1: (32, 24),
    DType.Q8_0: (32, 34),
    DType.Q8_1: (32, 40),
    DType.Q2_K: (256, 84),
    DType.Q3_K: (256, 110),
    DType.Q4_K: (256, 144),
    DType.Q5_K: (256, 176),
    DType.Q6_K: (256, 210),
    DType.Q8_K: (256, 292),
    DType.IQ2_XXS: (256, 66),
    DType.IQ2_XS: (256, 74),
    DType.IQ3_XXS: (256, 98),
    DType.IQ1_S: (256, 50),
    DType.IQ4_NL: (32, 18),
    DType.IQ3_S: (256, 110),
    DType.IQ2_S: (256, 82),
    DType.IQ4_XS: (256, 136),
    DType.I8: (1, 1),
    DType.I16: (1, 2),
    DType.I32: (1, 4),
    DType.I64: (1, 8),
    DType.F64: (1, 8),
    DType.IQ1_M: (256, 56),
    DType.BF16: (1, 2),
    DType.TQ1_0: (256, 54),
    DType.TQ2_0: (256, 66),
    DType.MXFP4: (32, 17),
    DType.NVFP4: (64, 36),
    DType.Q1_0: (128, 18),
}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Name, storage type and row-major shape (as in NumPy: the last dimension is contiguous)."""

    name: str
    dtype: DType
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Number of elements."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    @property
    def nbytes(self) -> int:
        """Bytes of the stored tensor."""
        row = self.shape[-1] if self.shape else 1
        return self.dtype.row_bytes(row) * (self.elements // row if row else 0)


class TensorSource(Protocol):
    """Metadata and tensors under GGUF names: an open GGUF file, or a checkpoint seen through its converter."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """GGUF keys to Python values (str, int, float, bool, or a list or NumPy array of one of these)."""

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """All tensors by GGUF name."""

    def tensor_bytes(self, name: str) -> npt.NDArray[np.uint8]:
        """The stored bytes of one tensor (uint8, flat, C order); a view of the mapped file where there is one."""

    def close(self) -> None:
        """Release the file; views that were handed out become invalid."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat. ``role`` is "system", "user", "assistant" or "tool"; ``images`` are encoded pictures."""

    role: str
    content: str
    images: Sequence[bytes] = field(default=())
