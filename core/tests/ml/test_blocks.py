"""Blocks taken apart stand for the values that they were."""

import numpy as np
import pytest

from ollamax.backend import Weight
from ollamax.ml.blocks import BLOCKS, take_apart
from ollamax.testing.weight_cases import extreme_weight, random_weight, scale_places, values_of
from ollamax.types import DType


@pytest.mark.parametrize("dtype", sorted(BLOCKS), ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("extreme", [False, True])
def test_parts_are_the_very_values(dtype: DType, extreme: bool) -> None:
    """A sum with a minimum is rounded once, as the definition does."""
    stored = extreme_weight(dtype, 3 * dtype.block_size) if extreme else random_weight(dtype, 40)
    blocks, values = BLOCKS[dtype], values_of(stored)
    parts = take_apart(_blocks(stored), dtype)
    assert parts is not None
    assert parts.numbers.dtype == np.uint8
    assert parts.numbers.max() < 1 << blocks.bits
    assert (parts.minima is not None) is blocks.has_minimum
    whole = parts.numbers.astype(np.float32).reshape(len(values), -1, blocks.block) - blocks.zero
    found = whole * parts.scales[..., None]
    if parts.minima is not None:
        found += parts.minima[..., None]
    np.testing.assert_array_equal(found.reshape(values.shape), values)


@pytest.mark.parametrize("dtype", sorted(BLOCKS), ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("scale", [np.nan, np.inf])
def test_a_scale_or_minimum_that_is_no_number_has_no_parts(dtype: DType, scale: float) -> None:
    for place in scale_places(dtype):
        blocks = _blocks(random_weight(dtype, 2)).copy()
        blocks[1, 0, place : place + 2] = np.frombuffer(np.float16(scale).tobytes(), np.uint8)
        assert take_apart(blocks, dtype) is None


def _blocks(stored: Weight) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return stored.data.reshape(stored.shape[0], -1, stored.dtype.block_bytes)
