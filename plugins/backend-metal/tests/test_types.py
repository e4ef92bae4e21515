"""Blocks keep what the file says."""

import mlx.core as mx
import numpy as np
import pytest

from ollamax.ml.blocks import BLOCKS
from ollamax.testing.weight_cases import WIDTH, extreme_weight, random_weight, scale_places, values_of
from ollamax.testing.weight_suite import linear_graph
from ollamax.types import DType, TensorInfo
from ollamax_backend_metal.backend import Metal
from ollamax_backend_metal.blocks import Packed, pack

TYPES = pytest.mark.parametrize("dtype", sorted(BLOCKS), ids=lambda dtype: dtype.name)


def dequantized(packed: Packed) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The values ``(rows, width)`` as MLX itself reads its layout."""
    read = [
        np.array(mx.dequantize(mx.array(packed.numbers), *map(mx.array, scaling), group_size=32, bits=packed.bits))
        for scaling in packed.scalings
    ]
    assert all(values.dtype == np.float32 for values in read)
    blocks = 32 // len(read)
    own = [values.reshape(len(values), -1, len(read), blocks)[:, :, half] for half, values in enumerate(read)]
    return np.stack(own, axis=2).reshape(read[0].shape)


@TYPES
@pytest.mark.parametrize("extreme", [False, True])
def test_blocks_are_the_very_values(dtype: DType, extreme: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for Q6_K, where a product of 25 bits is rounded; also where rows are no multiple of 256."""
    stored = extreme_weight(dtype, 3 * dtype.block_size) if extreme else random_weight(dtype, 40)
    monkeypatch.setattr("ollamax_backend_metal.blocks._CHUNK", 7 * stored.shape[1])
    values, packed = values_of(stored), pack(stored)
    assert packed is not None
    if dtype is DType.Q6_K:
        scales = np.stack([scales for scales, _ in packed.scalings], axis=-1).reshape(len(values), -1, 1)
        errors = np.abs(dequantized(packed) - values).reshape(len(values), -1, 16)
        assert (errors <= 2.0**-24 * 63 * np.abs(scales)).all()
    else:
        np.testing.assert_array_equal(dequantized(packed), values)
    assert packed.numbers.nbytes == values.size * BLOCKS[dtype].bits // 8
    read = sum(packed.numbers.nbytes + sum(part.nbytes for part in scaling) for scaling in packed.scalings)
    assert Metal().read_bytes(TensorInfo("w", dtype, stored.shape)) == read


@TYPES
def test_products_of_extreme_scales_are_those_of_the_values(dtype: DType) -> None:
    """Row by row, since the largest scale is 2^40 times the least."""
    stored = extreme_weight(dtype, 3 * dtype.block_size)
    values, backend = values_of(stored).astype(np.float64), Metal()
    backend.load({"w": stored})
    x = np.random.default_rng(0).normal(size=(3, stored.shape[1])).astype(np.float32)
    found = backend.compile(linear_graph(*stored.shape, dtype)).run({"x": x}, {"T": 3})["out"]
    sizes = np.abs(x).astype(np.float64) @ np.abs(values).T
    # MLX multiplies scale and offset apart, so that what cancels between them is rounded too.
    np.testing.assert_array_less(np.abs(found - x @ values.T), 2.0**-18 * sizes + 1e-30)
    backend.close()


@TYPES
@pytest.mark.parametrize("scale", [np.nan, np.inf])
def test_a_scale_that_is_no_number_is_left_to_float32(
    dtype: DType, scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in the last piece of a matrix."""
    for place in scale_places(dtype):
        stored = random_weight(dtype, 8)
        monkeypatch.setattr("ollamax_backend_metal.blocks._CHUNK", stored.shape[1])
        last = stored.data.reshape(-1, dtype.block_bytes)[-1]
        last[place : place + 2] = np.array([scale], np.float16).view(np.uint8)
        assert pack(stored) is None


def test_other_matrices_are_read_as_float32() -> None:
    assert Metal().read_bytes(TensorInfo("w", DType.F16, (3, 8))) == 96


@pytest.mark.parametrize("dtype", [DType.Q8_0, DType.Q6_K, DType.F32])
def test_a_product_of_no_rows_is_empty(dtype: DType) -> None:
    backend = Metal()
    backend.load({"w": random_weight(dtype, 40)})
    program = backend.compile(linear_graph(40, WIDTH, dtype))
    assert program.run({"x": np.zeros((0, WIDTH), np.float32)}, {"T": 0})["out"].shape == (0, 40)
    backend.close()
