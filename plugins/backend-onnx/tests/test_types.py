"""Blocks keep what the file says."""

from pathlib import Path

import numpy as np
import pytest

from ollamax.ml.blocks import BLOCKS
from ollamax.testing.weight_cases import random_weight, values_of
from ollamax.testing.weight_suite import linear_graph
from ollamax.types import DType, TensorInfo
from ollamax_backend_onnx.backend import ONNX
from ollamax_backend_onnx.emission import emit
from ollamax_backend_onnx.weight_files import WeightFiles


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "temporary"])
@pytest.mark.parametrize("dtype", sorted(BLOCKS), ids=lambda dtype: dtype.name)
def test_blocks_lose_nothing(dtype: DType, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the very values, but for the last bits of float32 where a block has an offset."""
    stored = random_weight(dtype, 40)
    values = values_of(stored)
    monkeypatch.setattr("ollamax_backend_onnx.blocks._CHUNK", 7 * stored.shape[1])
    monkeypatch.setattr("ollamax_backend_onnx.weight_files._SMALL", 0)
    files = WeightFiles(tmp_path if kept else None)
    packed = files.packed(stored, threads=2)
    assert packed is not None
    assert packed.file is not None
    assert ("scales" in packed.mapped) is kept
    files.release()
    assert packed.file.is_file() is kept
    numbers = packed.blocks
    if packed.bits == 4:
        numbers = np.stack([numbers & 15, numbers >> 4], axis=-1)
    numbers = numbers.reshape(40, -1, packed.block).astype(np.float32) - (1 << (packed.bits - 1))
    half = 1 << (BLOCKS[dtype].bits - 1)  # what a product rounds of its inputs is multiplied with the numbers
    assert -half <= numbers.min() < 0 < numbers.max() < half
    found = numbers * packed.scales[..., None]
    if packed.offsets is None:
        np.testing.assert_array_equal(found.reshape(values.shape), values)
    else:
        found += packed.offsets[..., None]
        np.testing.assert_allclose(found.reshape(values.shape), values, rtol=0, atol=1e-6 * np.abs(values).max())
    parts = [part.nbytes for part in (packed.blocks, packed.scales, packed.offsets) if part is not None]
    assert ONNX().read_bytes(TensorInfo("w", dtype, stored.shape)) == sum(parts) + packed.scales.nbytes
    assert (packed.offsets is None) is (dtype not in {DType.Q4_1, DType.Q5_1, DType.Q2_K, DType.Q4_K, DType.Q5_K})


def test_products_in_blocks_round_their_inputs_to_8_bits() -> None:
    """Which makes them several times as fast."""
    stored, backend = random_weight(DType.Q4_0, 40), ONNX()
    backend.load({"w": stored})
    model = emit(linear_graph(*stored.shape, DType.Q4_0), backend._weights, backend.states, backend.accuracy_level)
    (product,) = (node for node in model.model().graph.node if node.op_type == "MatMulNBits")
    assert {item.name: item.i for item in product.attribute}["accuracy_level"] == 4
    backend.close()


def test_other_matrices_are_read_as_float32() -> None:
    assert ONNX().read_bytes(TensorInfo("w", DType.F16, (3, 8))) == 96
    assert ONNX().read_bytes(TensorInfo("w", DType.Q8_0, (2, 3, 64))) == 4 * 2 * 3 * 64
