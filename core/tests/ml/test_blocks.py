"""Blocks taken apart stand for the values that they were."""

import numpy as np
import pytest

from ollamax.ml.blocks import BLOCKS, take_apart
from ollamax.testing.weight_cases import random_weight, scale_place, values_of
from ollamax.types import DType


@pytest.mark.parametrize("dtype", sorted(BLOCKS), ids=lambda dtype: dtype.name)
def test_parts_are_the_values(dtype: DType) -> None:
    """But for the last bits of float32 where there is a minimum."""
    blocks, stored = BLOCKS[dtype], random_weight(dtype, 40)
    values = values_of(stored)
    parts = take_apart(stored.data.reshape(40, -1, dtype.block_bytes), dtype)
    assert parts is not None
    assert parts.numbers.dtype == np.uint8
    assert parts.numbers.max() < 1 << blocks.bits
    assert (parts.minima is not None) is blocks.has_minimum
    whole = parts.numbers.astype(np.float32).reshape(40, -1, blocks.block) - blocks.zero
    found = whole * parts.scales[..., None]
    if parts.minima is None:
        np.testing.assert_array_equal(found.reshape(values.shape), values)
    else:
        found += parts.minima[..., None]
        np.testing.assert_allclose(found.reshape(values.shape), values, rtol=0, atol=1e-6 * np.abs(values).max())


@pytest.mark.parametrize("dtype", sorted(BLOCKS), ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("scale", [np.nan, np.inf])
def test_a_scale_that_is_no_number_has_no_parts(dtype: DType, scale: float) -> None:
    data = random_weight(dtype, 2).data.reshape(2, -1, dtype.block_bytes).copy()
    place = scale_place(dtype)
    data[1, 0, place : place + 2] = np.frombuffer(np.float16(scale).tobytes(), np.uint8)
    assert take_apart(data, dtype) is None
