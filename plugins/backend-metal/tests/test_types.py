"""Blocks keep what the file says."""

import mlx.core as mx
import numpy as np
import pytest

from ollamax.ml.blocks import BLOCKS
from ollamax.testing.weight_cases import WIDTH, random_weight, values_of
from ollamax.types import DType, TensorInfo
from ollamax_backend_metal.backend import Metal
from ollamax_backend_metal.blocks import pack


@pytest.mark.parametrize("dtype", sorted(BLOCKS), ids=lambda dtype: dtype.name)
def test_blocks_are_the_very_values(dtype: DType, monkeypatch: pytest.MonkeyPatch) -> None:
    """As MLX itself reads its layout: but for the sign of a zero, and for the last bits where there is a minimum."""
    monkeypatch.setattr("ollamax_backend_metal.blocks._CHUNK", 7 * WIDTH)
    stored = random_weight(dtype, 40)
    values, packed = values_of(stored), pack(stored)
    assert packed is not None
    parts = [mx.array(part) for part in (packed.numbers, packed.scales, packed.offsets)]
    found = np.array(mx.dequantize(*parts, group_size=32, bits=packed.bits))
    assert found.dtype == np.float32
    found = found.reshape(40, -1, 32)[..., : packed.block].reshape(values.shape)
    most = np.abs(values).max()
    np.testing.assert_allclose(found, values, rtol=0, atol=1e-6 * most if BLOCKS[dtype].has_minimum else 1e-7 * most)
    if dtype in (DType.Q4_0, DType.Q4_1, DType.Q8_0):
        np.testing.assert_array_equal(found, values)
    assert Metal().read_bytes(TensorInfo("w", dtype, stored.shape)) == sum(part.nbytes for part in parts)


def test_other_matrices_are_read_as_float32() -> None:
    assert Metal().read_bytes(TensorInfo("w", DType.F16, (3, 8))) == 96
