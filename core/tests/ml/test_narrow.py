"""Rows that nobody asks for are not computed, and nothing else changes."""

from collections.abc import Callable

import numpy as np
import pytest

from ollamax.ml import Graph, Kind, Op, Tensor, nn
from ollamax.ml.narrow import narrow
from ollamax.ml.reference import evaluate
from ollamax.ml.tensor import apply, cast, concat, gather, optional, state, state_read, state_write, where
from ollamax.testing.op_cases import Maker

WIDTH = 8


def linear(m: Maker, x: Tensor, out: int = WIDTH, bias: bool = False) -> Tensor:
    extra = {"bias": m.weight(out) if bias else None}
    return optional(Op.LINEAR, x, m.weight(out, int(x.shape[-1])), extra=extra)


def norm(m: Maker, x: Tensor, op: Op = Op.RMS_NORM) -> Tensor:
    return optional(op, x, extra={"weight": m.weight(WIDTH)}, eps=1e-5)


def attend(m: Maker, x: Tensor) -> Tensor:
    """Attention over a state, as in a decoder."""
    slots, rows = m.given("N", values=[1, 0]), m.given("N", "T", values=[[0, 1, 2, 3], [0, 1, 2, 3]])
    positions, cells = m.given("N", "T", values=[[4, 5, 6, 7], [0, 1, 2, 3]]), m.integers("N", "S", low=-1, high=6)
    rope = nn.Rope(base=100.0, dims=4, pairing="halves")
    q = rope(linear(m, x).split_heads(2, 4), positions)
    kept = [
        state_write(state(name, (2, 6, 1, 4)), slots, rows, linear(m, x, 4).split_heads(1, 4)) for name in ("k", "v")
    ]
    keys, values = (state_read(written, slots) for written in kept)
    return nn.attention(q, keys, values, apply(Op.MASK, positions, cells, window=None)).merge_heads()


ROW_BY_ROW: dict[str, Callable[[Maker, Tensor], Tensor]] = {
    "residual": lambda m, x: x + linear(m, norm(m, x), bias=True),
    "layer-norm": lambda m, x: norm(m, x, Op.LAYER_NORM) * 2.0 - 1.0,
    "feed-forward": lambda m, x: nn.silu_mul(linear(m, x), linear(m, x)) + nn.gelu(x),
    "row-vector": lambda m, x: x * m.floats(WIDTH) + m.floats(1, WIDTH) + m.floats(1, 1, WIDTH),
    "per-row": lambda m, x: x * m.floats("N", "T", 1) + m.floats("N", 1, WIDTH),
    "choice": lambda m, x: where(apply(Op.LT, 0.0, x), x, -x),
    "heads": lambda m, x: x.split_heads(2, 4).transpose(0, 1, 3, 2).reshape("N", "T", WIDTH),
    "pieces": lambda m, x: concat([x.slice(-1, 4, 8), x.slice(2, 0, 4).repeat(2, 1)]) - x.mean() + x.max() / x.sum(),
    "softmax": lambda m, x: apply(Op.SOFTMAX, x) + cast(m.booleans("N", "T", 1), Kind.FLOAT),
    "embedding": lambda m, x: x + apply(Op.EMBEDDING, m.weight(9, WIDTH), m.integers("N", "T")),
    "attention": lambda m, x: x + linear(m, attend(m, norm(m, x))),
}
NOT_BY_ROW: dict[str, Callable[[Maker, Tensor], Tensor]] = {
    "reduced-rows": lambda m, x: x + m.floats("N", 1, WIDTH) * 1.0 + cast(m.booleans("T", WIDTH), Kind.FLOAT),
    "transposed-rows": lambda m, x: x.transpose(1, 0, 2).transpose(1, 0, 2),
    "product": lambda m, x: x @ m.floats("N", WIDTH, WIDTH),
}


def built(make: Callable[[Maker, Tensor], Tensor]) -> tuple[Maker, Graph]:
    m = Maker(3)
    m.dims |= {"N": 2, "T": 4, "S": 5, "R": 2}
    x = norm(m, m.floats("N", "T", WIDTH))
    outputs = m.given("N", "R", values=[[3, 0], [2, 2]])
    result = linear(m, gather(make(m, linear(m, x)), outputs), 5)
    return m, Graph({"out": result}, name="case")


def rows(graph: Graph, op: Op) -> list[object]:
    return [node.shape[1] for node in graph.nodes if node.op is op]


@pytest.mark.parametrize("name", [*ROW_BY_ROW, *NOT_BY_ROW])
def test_outputs_and_states_stay_the_same(name: str) -> None:
    m, whole = built((ROW_BY_ROW | NOT_BY_ROW)[name])
    states: tuple[dict[str, np.ndarray], dict[str, np.ndarray]] = ({}, {})
    few = narrow(whole)
    one = evaluate(whole, m.inputs, m.dims, m.weights, states[0])["out"]
    other = evaluate(few, m.inputs, m.dims, m.weights, states[1])["out"]
    np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)
    assert states[0].keys() == states[1].keys()
    for key, value in states[0].items():
        np.testing.assert_allclose(states[1][key], value, rtol=1e-6)


@pytest.mark.parametrize("name", ROW_BY_ROW)
def test_only_the_wanted_rows_are_computed(name: str) -> None:
    few = narrow(built(ROW_BY_ROW[name])[1])
    computed = [node for node in few.nodes if node.srcs and node.kind is Kind.FLOAT and node.op is not Op.GATHER]
    full = [node.op for node in computed if "T" in node.shape]
    if name == "attention":
        # Keys and values are kept for every row, so what they are made of is needed whole.
        assert rows(few, Op.ATTENTION) == ["R"]
        assert sorted(map(str, rows(few, Op.LINEAR))) == ["R", "R", "R", "T", "T", "T"]
    else:
        assert not full


@pytest.mark.parametrize("name", NOT_BY_ROW)
def test_what_mixes_rows_stays_whole(name: str) -> None:
    _, graph = built(NOT_BY_ROW[name])
    assert narrow(graph) is graph


def test_rows_that_are_an_output_as_well_stay_whole() -> None:
    m = Maker()
    m.dims |= {"N": 1, "T": 3, "R": 1}
    hidden = norm(m, m.floats("N", "T", WIDTH))
    graph = Graph({"out": gather(hidden, m.given("N", "R", values=[[1]])), "hidden": hidden})
    assert narrow(graph) is graph


def test_a_value_that_is_used_as_rows_and_whole_stays_whole() -> None:
    m = Maker()
    m.dims |= {"N": 2, "T": 2, "R": 1}
    x = norm(m, m.floats("N", "T", WIDTH))
    graph = Graph({"out": gather(x + x @ m.floats("N", WIDTH, WIDTH), m.given("N", "R", values=[[1], [0]]))})
    assert "R" in narrow(graph).outputs["out"].shape
    assert rows(narrow(graph), Op.RMS_NORM) == ["T"]
