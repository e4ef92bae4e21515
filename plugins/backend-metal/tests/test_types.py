"""Every type of a weight: rows and products, and that blocks keep what the file says."""

import mlx.core as mx
import numpy as np
import pytest

from ollamax.backend import Weight
from ollamax.errors import ConversionError
from ollamax.ml import Graph, Kind, Op
from ollamax.ml.dtype import can_quantize, dequantize, quantize
from ollamax.ml.tensor import apply, graph_input, optional, weight
from ollamax.types import DType, TensorInfo
from ollamax_backend_metal.backend import Metal
from ollamax_backend_metal.blocks import pack

WIDTH = 512
# Types that stay in blocks, and the largest error of a product as a share of its largest value: float32's own.
BLOCKS = [DType.Q4_0, DType.Q4_1, DType.Q8_0]
TOLERANCE = 3e-6
# Where the float16 scales of a block lie, for types that core does not write; else it is in front.
SCALES = {DType.Q2_K: (80, 82), DType.Q3_K: (108,), DType.Q6_K: (208,), DType.Q4_K: (0, 2), DType.Q5_K: (0, 2)}


def decodable(dtype: DType) -> bool:
    try:
        dequantize(np.zeros(dtype.block_bytes, np.uint8), dtype, (dtype.block_size,))
    except ConversionError:
        return False
    return True


STORED = sorted(filter(decodable, DType))


def random_bytes(dtype: DType, rows: int) -> np.ndarray:
    """Quantised values where core can quantise, else random blocks with sane scales."""
    random = np.random.default_rng(int(dtype))
    if dtype in can_quantize:
        return quantize(random.normal(size=(rows, WIDTH)).astype(np.float32), dtype)
    if dtype is DType.F64:
        return random.normal(size=rows * WIDTH).view(np.uint8)
    if dtype.block_size == 1:
        return random.integers(0, 100, rows * WIDTH).astype(f"i{dtype.block_bytes}").view(np.uint8)
    blocks = random.integers(0, 256, (rows * WIDTH // dtype.block_size, dtype.block_bytes), dtype=np.uint8)
    if dtype is DType.IQ1_M:  # its scale is spread over the high nibbles of four numbers
        blocks[:, 49:56:2] = (blocks[:, 49:56:2] & 15) | np.uint8([0, 0, 160, 32])
        return blocks.reshape(-1)
    for place in SCALES.get(dtype, (0,)):
        scales = random.uniform(0.01, 0.1, len(blocks)).astype(np.float16)
        blocks[:, place : place + 2] = scales.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(-1)


def random_weight(dtype: DType, rows: int) -> Weight:
    return Weight("w", dtype, (rows, WIDTH), random_bytes(dtype, rows), mapped=False)


@pytest.mark.parametrize("dtype", STORED, ids=lambda dtype: dtype.name)
def test_rows_and_products(dtype: DType) -> None:
    """Tied: the table is looked up as it is stored, and multiplied in blocks or as float32."""
    rows = 200
    stored = random_weight(dtype, rows)
    values = dequantize(stored.data, dtype, stored.shape)
    table, x = weight("w", stored.shape, dtype), graph_input("x", ("T", WIDTH), Kind.FLOAT)
    product = optional(Op.LINEAR, x, table, extra={"bias": weight("b", (rows,))})
    looked_up = apply(Op.EMBEDDING, table, graph_input("ids", ("N", "T"), bound=rows))
    numbers = np.random.default_rng(2).normal(size=rows).astype(np.float32)
    ready = Metal()
    ready.load({"w": stored, "b": Weight("b", DType.F32, (rows,), numbers.view(np.uint8), mapped=False)})
    program = ready.compile(Graph({"linear": product, "embedding": looked_up}))
    for count in (1, 3, 20):
        given = np.random.default_rng(count).normal(size=(count, WIDTH)).astype(np.float32)
        inputs = {"x": given, "ids": np.arange(count)[None] * 9}
        result = program.run(inputs, {"N": 1, "T": count})
        np.testing.assert_array_equal(result["embedding"][0], values[inputs["ids"][0]])
        expected = given @ values.T + numbers
        tolerance = TOLERANCE * np.abs(expected).max()
        np.testing.assert_allclose(result["linear"], expected, rtol=0, atol=tolerance)
    ready.close()


@pytest.mark.parametrize("dtype", BLOCKS, ids=lambda dtype: dtype.name)
def test_blocks_are_the_very_values(dtype: DType) -> None:
    """As MLX itself reads its layout: bit for bit, but for the sign of a zero."""
    stored = random_weight(dtype, 40)
    packed = pack(stored)
    assert packed is not None
    parts = [mx.array(part) for part in (packed.numbers, packed.scales, packed.offsets)]
    found = np.array(mx.dequantize(*parts, group_size=32, bits=packed.bits))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, dequantize(stored.data, dtype, stored.shape))
    assert Metal().read_bytes(TensorInfo("w", dtype, stored.shape)) == sum(part.nbytes for part in parts)


@pytest.mark.parametrize("dtype", BLOCKS, ids=lambda dtype: dtype.name)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_scales_that_are_no_numbers_leave_the_blocks(dtype: DType) -> None:
    """A damaged file's values come out as the definition has them."""
    stored = random_weight(dtype, 4)
    stored.data[:2] = np.array([np.inf], np.float16).view(np.uint8)
    assert pack(stored) is None
    x = graph_input("x", ("T", WIDTH), Kind.FLOAT)
    backend = Metal()
    backend.load({"w": stored})
    program = backend.compile(Graph({"out": optional(Op.LINEAR, x, weight("w", stored.shape, dtype), extra={})}))
    found = program.run({"x": np.ones((1, WIDTH), np.float32)}, {"T": 1})["out"][0]
    assert not np.isfinite(found[0])
    assert np.isfinite(found[1:]).all()
    backend.close()


@pytest.mark.parametrize("dtype", STORED, ids=lambda dtype: dtype.name)
def test_values_for_any_other_op(dtype: DType) -> None:
    stored = random_weight(dtype, 6)
    values = dequantize(stored.data, dtype, stored.shape)
    backend = Metal()
    backend.load({"w": stored})
    table = weight("w", values.shape, dtype)
    graph = Graph({"product": table * 2.0, "rows": apply(Op.DEQUANTIZE, table).slice(0, 1, 3)})
    result = backend.compile(graph).run({}, {})
    np.testing.assert_array_equal(result["product"], values * 2)
    np.testing.assert_array_equal(result["rows"], values[1:3])
    backend.close()


def test_other_matrices_are_read_as_float32() -> None:
    assert Metal().read_bytes(TensorInfo("w", DType.F16, (3, 8))) == 96
