"""What the ggml backend refuses of ops, and the graphs that it builds for them."""

import numpy as np
import pytest

from ollamax.errors import BackendError, GraphError
from ollamax.ml import Graph, Kind, Op, Tensor, nn
from ollamax.ml.tensor import apply, cast, graph_input
from ollamax.testing.op_cases import Maker
from ollamax.testing.op_suite import run_case
from ollamax_backend_ggml.backend import GGML


def computed(m: Maker, *shape: int | str, low: float = -2.0) -> Tensor:
    """A value that the library has to compute, so that what follows cannot be done beforehand."""
    return m.floats(*shape, low=low) * 1.0


def test_what_is_refused_is_named() -> None:
    m = Maker()
    a = computed(m, 2, 3, 4)
    integers = cast(a, Kind.INT)
    with pytest.raises(GraphError, match="makes integers of weights or float32 results"):
        GGML().compile(m.case("cast", integers).graph)
    seen = apply(Op.LT, 0.0, a)
    hidden = m.case("mask", nn.attention(computed(m, 2, 3, 2, 8), *[computed(m, 2, 4, 2, 8)] * 2, seen))
    with pytest.raises(BackendError, match="no mask that is computed"):
        run_case(GGML(), hidden)
    beyond = m.case("take", apply(Op.TAKE, a, m.integers(2, low=1, high=2) + 1))
    with pytest.raises(BackendError, match="a row number holds 2, expected 0 to 1"):
        run_case(GGML(), beyond)
    wide = m.case("axes", computed(m, 2, 1, 2, 1, 2, 1) + computed(m, 1, 3, 1, 3, 1, 3))
    with pytest.raises(BackendError, match="has 6 axes that differ, at most 4"):
        run_case(GGML(), wide)


def test_one_graph_serves_every_step_of_a_size() -> None:
    built: list[int] = []
    backend = GGML()
    x = graph_input("x", ("T", 4), Kind.FLOAT)
    program = backend.compile(Graph({"out": apply(Op.EXP, x)}))
    inner = program._build  # type: ignore[attr-defined]
    program._build = lambda *given: (built.append(1), inner(*given))[1]  # type: ignore[attr-defined]
    for size in (3, 5, 3, 3, 5):
        value = np.random.default_rng(size).normal(size=(size, 4)).astype(np.float32)
        np.testing.assert_allclose(program.run({"x": value}, {"T": size})["out"], np.exp(value), rtol=1e-6)
    assert len(built) <= 3  # 5 needs more memory than 3, whose graph is built again then
    backend.close()
