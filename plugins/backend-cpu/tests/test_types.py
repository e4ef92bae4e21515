"""Weights of every type as a matrix, as a table, and as both: what is converted whole, and what row by row."""

import numpy as np
import pytest

from ollamax.ml import Graph, Op, Tensor
from ollamax.ml.reference import evaluate
from ollamax.ml.tensor import apply, graph_input, optional, weight
from ollamax.testing.weight_cases import STORED, WIDTH, float_weight, random_weight, values_of
from ollamax.types import DType
from ollamax_backend_cpu.backend import CPU


@pytest.mark.parametrize("dtype", STORED, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("use", ["linear", "embedding", "both"])
def test_stored_types(dtype: DType, use: str) -> None:
    rows, width = 24, WIDTH
    stored = random_weight(dtype, rows)
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
        "w": values_of(stored),
        "x": np.random.default_rng(1).normal(size=(rows, width)).astype(np.float32),
    }
    backend = CPU()
    backend.load({"w": stored, "x": float_weight("x", values["x"])})
    inputs, dims = {"ids": np.array([[3, 0, 23], [7, 7, 1]])}, {"N": 2, "T": 3}
    result = backend.compile(graph).run(inputs, dims)
    expected = evaluate(graph, inputs, dims, values)
    for name, value in expected.items():
        assert np.abs(value).max() > 0.1
        np.testing.assert_allclose(result[name], value, rtol=1e-4, atol=1e-4 * np.abs(value).max())
