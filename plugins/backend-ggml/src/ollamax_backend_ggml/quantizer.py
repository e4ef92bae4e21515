"""Storage types written by ggml, on all cores, byte for byte as llama.cpp writes them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ollamax.backend.hardware import physical_cores
from ollamax.convert.quantizer import Quantizer
from ollamax.errors import BackendError
from ollamax.types import DType
from ollamax_backend_ggml.library import library

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# Where a block keeps its scale (ggml_half d), by the structs of ggml-common.h.
_SCALE_AT = {
    DType.Q4_0: 0,
    DType.Q4_1: 0,
    DType.Q5_0: 0,
    DType.Q5_1: 0,
    DType.Q8_0: 0,
    DType.Q2_K: 80,
    DType.Q3_K: 108,
    DType.Q4_K: 0,
    DType.Q5_K: 0,
    DType.Q6_K: 208,
    DType.IQ3_S: 0,
    DType.IQ4_NL: 0,
    DType.IQ4_XS: 0,
    DType.TQ1_0: 52,
    DType.TQ2_0: 64,
}
_LEAST = 1 << 16
"""Elements that are worth a thread."""


class GGMLQuantizer(Quantizer):
    """All types of ggml that need no importance matrix."""

    name = "ggml"
    dtypes = frozenset(_SCALE_AT)

    @classmethod
    def unavailable(cls) -> str | None:
        """Why ggml-python does not load."""
        try:
            library()
        except BackendError as error:
            return str(error)
        return None

    def quantize(self, values: npt.NDArray[np.float32], dtype: DType) -> npt.NDArray[np.uint8]:
        """The blocks of ``values (rows, width)``; a block with NaN has NaN for its scale."""
        import numpy as np

        blocks = np.ascontiguousarray(values, np.float32).reshape(-1, dtype.block_size)
        broken = np.asarray(np.isnan(blocks).any(axis=1))
        if broken.any():
            # The library searches for the best scale, and some of its searches end the process over NaN.
            blocks = np.where(broken[:, None], np.float32(0), blocks)
        result = np.empty((len(blocks), dtype.block_bytes), np.uint8)
        _encode(blocks, result, dtype)
        at = _SCALE_AT[dtype]
        result[broken, at : at + 2] = np.array([np.nan], "<f2").view(np.uint8)
        return result


def _encode(blocks: npt.NDArray[np.float32], result: npt.NDArray[np.uint8], dtype: DType) -> None:
    """Quantise parts of ``blocks`` at a time, each on a thread; no type looks beyond a block."""
    cores = physical_cores()
    step = max(-(-len(blocks) // cores), _LEAST // dtype.block_size)
    quantize_chunk = library().quantize_chunk

    def work(first: int) -> None:
        part, into = blocks[first : first + step], result[first : first + step]
        quantize_chunk(int(dtype), part.ctypes.data, into.ctypes.data, 0, len(part), dtype.block_size, None)

    starts = range(0, len(blocks), step)
    if len(starts) == 1:
        work(0)
    else:
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(work, starts))
