"""Every op of the NumPy backend against the reference, with fused kernels and with primitives alone."""

from collections.abc import Mapping

import numpy as np
import pytest

from ollamax.backend import Backend, Weight
from ollamax.ml import PRIMITIVES, Graph, Op, Tensor
from ollamax.ml.dtype import can_quantize, dequantize, quantize
from ollamax.ml.reference import evaluate
from ollamax.ml.tensor import apply, graph_input, optional, weight
from ollamax.testing.op_cases import OpCase, op_cases
from ollamax.types import DType
from ollamax_backend_cpu.backend import CPU

CASES = op_cases()


class Primitive(CPU):
    """The same kernels, but core takes every compound apart first."""

    ops = PRIMITIVES


def stored(weights: Mapping[str, np.ndarray], dtype: DType = DType.F32) -> dict[str, Weight]:
    return {
        name: Weight(name, dtype, value.shape, quantize(value, dtype), mapped=False) for name, value in weights.items()
    }


def run(backend: Backend, case: OpCase) -> np.ndarray:
    backend.load(stored(case.weights))
    return backend.compile(case.graph).run(case.inputs, case.dims)["out"]


@pytest.mark.parametrize("backend", [CPU, Primitive])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_op_equals_reference(case: OpCase, backend: type[Backend]) -> None:
    expected = evaluate(case.graph, case.inputs, case.dims, case.weights)["out"]
    np.testing.assert_allclose(run(backend(), case), expected, rtol=2e-5, atol=2e-5)


STORED = [
    DType.F32,
    DType.F16,
    DType.BF16,
    DType.Q4_0,
    DType.Q4_1,
    DType.Q5_0,
    DType.Q5_1,
    DType.Q8_0,
    DType.Q2_K,
    DType.Q3_K,
    DType.Q4_K,
    DType.Q5_K,
    DType.Q6_K,
]


def random_blocks(dtype: DType, rows: int, width: int) -> np.ndarray:
    """Stored bytes of a weight: quantised values where we can quantise, else random blocks with sane scales."""
    random = np.random.default_rng(dtype)
    if dtype in can_quantize:
        return quantize(random.normal(size=(rows, width)).astype(np.float32), dtype)
    blocks = random.integers(0, 256, (rows * width // dtype.block_size, dtype.block_bytes), dtype=np.uint8)
    # The float16 scales of K-quants: at 80 and 82 (Q2_K), at the end (Q3_K, Q6_K), at 0 and 2 (Q4_K, Q5_K).
    places = {DType.Q2_K: (80, 82), DType.Q3_K: (108,), DType.Q6_K: (208,)}.get(dtype, (0, 2))
    for place in places:
        scales = random.uniform(0.01, 0.1, len(blocks)).astype(np.float16)
        blocks[:, place : place + 2] = scales.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(-1)


@pytest.mark.parametrize("dtype", STORED, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("use", ["linear", "embedding", "both"])
def test_stored_types(dtype: DType, use: str) -> None:
    rows, width = 24, 512
    data = random_blocks(dtype, rows, width)
    table = weight("w", (rows, width), dtype)
    ids = graph_input("ids", ("N", "T"), bound=rows)
    looked_up = apply(Op.EMBEDDING, table, ids)
    outputs: dict[str, Tensor] = {}
    if use != "embedding":
        x = apply(Op.SIN, looked_up) if use == "both" else apply(Op.EMBEDDING, weight("x", (rows, width)), ids)
        outputs["linear"] = optional(Op.LINEAR, x, table, extra={})
    if use != "linear":
        outputs["embedding"] = looked_up
    graph = Graph(outputs)
    values = {
        "w": dequantize(data, dtype, (rows, width)),
        "x": np.random.default_rng(1).normal(size=(rows, width)).astype(np.float32),
    }
    backend = CPU()
    backend.load({"w": Weight("w", dtype, (rows, width), data, mapped=False), **stored({"x": values["x"]})})
    inputs, dims = {"ids": np.array([[3, 0, 23], [7, 7, 1]])}, {"N": 2, "T": 3}
    result = backend.compile(graph).run(inputs, dims)
    expected = evaluate(graph, inputs, dims, values)
    for name, value in expected.items():
        assert np.abs(value).max() > 0.1
        np.testing.assert_allclose(result[name], value, rtol=1e-4, atol=1e-4 * np.abs(value).max())
