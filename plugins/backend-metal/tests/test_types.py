"""Blocks keep what the file says."""

import mlx.core as mx
import numpy as np
import pytest

from ollamax.testing.weight_cases import random_weight, values_of
from ollamax.types import DType, TensorInfo
from ollamax_backend_metal.backend import Metal
from ollamax_backend_metal.blocks import pack

# Types that stay in blocks.
BLOCKS = [DType.Q4_0, DType.Q4_1, DType.Q8_0]


@pytest.mark.parametrize("dtype", BLOCKS, ids=lambda dtype: dtype.name)
def test_blocks_are_the_very_values(dtype: DType) -> None:
    """As MLX itself reads its layout: bit for bit, but for the sign of a zero."""
    stored = random_weight(dtype, 40)
    packed = pack(stored)
    assert packed is not None
    parts = [mx.array(part) for part in (packed.numbers, packed.scales, packed.offsets)]
    found = np.array(mx.dequantize(*parts, group_size=32, bits=packed.bits))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values_of(stored))
    assert Metal().read_bytes(TensorInfo("w", dtype, stored.shape)) == sum(part.nbytes for part in parts)


def test_other_matrices_are_read_as_float32() -> None:
    assert Metal().read_bytes(TensorInfo("w", DType.F16, (3, 8))) == 96
