"""Every op of the MLX backend against the reference, with compounds as they are and with primitives alone."""

from collections.abc import Mapping

import numpy as np
import pytest

from ollamax.backend import Backend, BackendOptions, Weight
from ollamax.errors import BackendError
from ollamax.ml import PRIMITIVES, Graph, Kind, Op, Tensor, nn
from ollamax.ml.dtype import quantize
from ollamax.ml.reference import evaluate
from ollamax.ml.tensor import (
    apply,
    cast,
    concat,
    const,
    gather,
    graph_input,
    state,
    state_read,
    state_write,
    where,
)
from ollamax.testing.op_cases import Maker, OpCase, op_cases
from ollamax.types import DType
from ollamax_backend_metal.backend import Metal


class Primitive(Metal):
    """The same library, but core takes every compound apart first."""

    ops = PRIMITIVES


def stored(weights: Mapping[str, np.ndarray], dtype: DType = DType.F32) -> dict[str, Weight]:
    return {
        name: Weight(name, dtype, value.shape, quantize(value, dtype), mapped=False) for name, value in weights.items()
    }


def run(backend: Backend, case: OpCase) -> np.ndarray:
    try:
        backend.load(stored(case.weights))
        return backend.compile(case.graph).run(case.inputs, case.dims)["out"]
    finally:
        backend.close()


def agrees(case: OpCase, backend: type[Backend] = Metal, tolerance: float = 2e-5) -> None:
    expected = evaluate(case.graph, case.inputs, case.dims, case.weights)["out"]
    found = run(backend(), case)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("backend", [Metal, Primitive])
@pytest.mark.parametrize("case", op_cases(), ids=str)
def test_op_equals_reference(case: OpCase, backend: type[Backend]) -> None:
    agrees(case, backend)


def computed(m: Maker, *shape: int | str, low: float = -2.0) -> Tensor:
    """A value that the library has to compute, so that what follows cannot be done beforehand."""
    return m.floats(*shape, low=low) * 1.0


def comparisons(m: Maker) -> dict[str, Tensor]:
    a, b, row = computed(m, 3, 4), computed(m, 3, 4), computed(m, 4)
    same = where(apply(Op.LT, a, b), a, b)
    found = {op.value: apply(op, a, b) for op in (Op.LT, Op.LE, Op.EQ)}
    found |= {f"{op.value}-row": apply(op, a, row) for op in (Op.LT, Op.LE, Op.MAXIMUM, Op.MINIMUM)}
    less, positive = apply(Op.LT, a, b), apply(Op.LT, 0.0, row)
    return found | {
        "eq-same": apply(Op.EQ, same, a),
        "not": apply(Op.NOT, less),
        "and": apply(Op.AND, less, positive),
        "or": apply(Op.OR, less, positive),
        "cast-float": cast(less, Kind.FLOAT) * 2.0,
        "cast-bool": apply(Op.NOT, cast(apply(Op.RELU, a), Kind.BOOL)),
        "where": where(less, a, b),
        "where-row": where(positive, a, -7.0),
        "mixed": where(apply(Op.AND, less, m.booleans(3, 1)), a, b),
    }


@pytest.mark.parametrize("name", comparisons(Maker()))
def test_comparisons_of_computed_values(name: str) -> None:
    maker = Maker()
    output = comparisons(maker)[name]
    if output.kind is Kind.BOOL:
        output = cast(output, Kind.FLOAT)
    agrees(maker.case(name, output))


def further(m: Maker) -> dict[str, Tensor]:
    x = computed(m, 2, 3, 4, 2, 5)
    a, one = computed(m, 2, 3, 4), m.floats(1, 1, 3, 6)
    positive = m.floats(2, 3, 4, low=0.5) * 1.0
    infinite = const(np.array([np.inf, 1.0, -np.inf, 0.0], np.float32))
    return {
        "five-axes": x.transpose(0, 1, 3, 2, 4),
        "five-axes-back": x.transpose(4, 3, 2, 1, 0).reshape(5, 2, 4, 3, 2),
        "six-axes": computed(m, 2, 3, 2, 3, 2, 3).transpose(5, 3, 1, 4, 2, 0),
        "five-axes-sum": apply(Op.SUM, x, axis=1),
        "five-axes-concat": concat([x, x, x], axis=3),
        "five-axes-add": x + m.floats(4, 1, 5),
        "slice-slice": a.slice(1, 1, 3).slice(2, 1, 3),
        "square": apply(Op.POW, a, 2.0),
        "cube": apply(Op.POW, a, 3.0),
        "fourth-part": apply(Op.POW, a, -4.0),
        "root": apply(Op.POW, positive, 0.5),
        "powers": apply(Op.POW, positive, m.floats(4)),
        "number-minus": 3.0 - a,
        "over": 2.0 / positive,
        "by-number": a / 4.0,
        "zero-division": a / 0.0,
        "clamp": apply(Op.MINIMUM, apply(Op.MAXIMUM, a, -0.5), 0.5) + a,
        "infinite-max": apply(Op.MAXIMUM, a, infinite),
        "infinite-where": where(m.booleans(2, 3, 4), a, infinite),
        "infinite-rows": where(m.booleans(2, 1, 1), a, infinite),
        "max-infinite": apply(Op.MAX, a + infinite, axis=-1),
        "silu-row": nn.silu_mul(a, m.floats(4) * 1.0),
        "take-int-sum": apply(Op.TAKE, a, m.integers(3, high=1) + 1),
        "scalar": a * m.floats(1) + m.weight(1),
        "empty-concat": concat([a.slice(1, 0, 0), a], axis=1),
        "erf-large": apply(Op.ERF, a * 100.0),
        "matmul-both": computed(m, 1, 3, 2, 4) @ computed(m, 5, 1, 4, 3),
        "matmul-broadcast": computed(m, 2, 4) @ computed(m, 5, 3, 4, 3),
        "gather-deep": gather(computed(m, 2, 5, 3, 2), m.integers(2, 3, high=5)),
        "dead-rope": nn.Rope(1e300, 8, "halves")(computed(m, 1, 2, 2, 8), m.integers(1, 2, high=100000)),
        "computed-factors": nn.Rope(1e4, 4, "halves")(a.reshape(1, 2, 3, 4), m.integers(1, 2), m.weight(2) + 1.5),
        "one-token": nn.Rope(1e4, 4, "interleaved", magnitude=1.5)(one, m.given(1, 1, values=[[90000]])),
        "one-token-halves": nn.Rope(1e4, 6, "halves", 0.5)(one, m.given(1, 1, values=[[7]]), m.weight(3)),
        "far": nn.Rope(5e5, 6, "halves")(one, m.given(1, 1, values=[[131000]])),
        "far-interleaved": nn.Rope(5e5, 4, "interleaved")(computed(m, 2, 2, 3, 6), m.integers(2, 2, high=131000)),
        "far-scaled": nn.Rope(1e4, 6, "halves", scale=0.3)(one, m.given(1, 1, values=[[131000]])),
        "far-factors": nn.Rope(5e5, 6, "halves")(one, m.given(1, 1, values=[[131000]]), m.weight(3) + 2.5),
        "one-token-at-0": nn.Rope(1e4, 6, "halves")(one, m.given(1, 1, values=[[0]])),
        "attention-tiles": tiles(m),
        "attention-capped": tiles(m, softcap=3.0),
        "attention-split": split(m),
    }


def tiles(m: Maker, softcap: float | None = None) -> Tensor:
    """Many queries with a window; some of them see nothing."""
    query = m.integers(2, 70, low=-4, high=90)
    key = m.integers(2, 90, low=-3, high=90)
    q, k = computed(m, 2, 70, 4, 16), computed(m, 2, 90, 2, 16)
    return nn.attention(q, k, computed(m, 2, 90, 2, 32), nn.causal_mask(query, key, window=40), softcap=softcap)


def split(m: Maker) -> Tensor:
    """One token and many cells, one half of which nothing is in."""
    key = m.given(1, 1200, values=[[-1] * 600 + list(range(600))])
    q, k = computed(m, 1, 1, 4, 16), computed(m, 1, 1200, 2, 16)
    mask = nn.causal_mask(m.given(1, 1, values=[[300]]), key)
    return nn.attention(q, k, computed(m, 1, 1200, 2, 16), mask, sinks=m.weight(4))


@pytest.mark.parametrize("backend", [Metal, Primitive])
@pytest.mark.parametrize("name", further(Maker()))
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:overflow", "ignore:invalid value")
def test_further_forms(name: str, backend: type[Backend]) -> None:
    maker = Maker()
    output = further(maker)[name]
    agrees(maker.case(name, output), backend, tolerance=1e-4 if "attention" in name else 2e-5)


def test_masks_indices_and_integers_may_be_computed() -> None:
    m = Maker()
    a = computed(m, 2, 3, 4)
    agrees(m.case("integers", cast(cast(a, Kind.INT), Kind.FLOAT)))
    seen = apply(Op.LT, 0.0, a)
    agrees(m.case("mask", nn.attention(computed(m, 2, 3, 2, 8), *[computed(m, 2, 4, 2, 8)] * 2, seen)))
    agrees(m.case("take", apply(Op.TAKE, m.weight(9, 4), m.integers(3, high=4) + m.integers(3, high=4))))
    agrees(m.case("axes", computed(m, 2, 1, 2, 1, 2, 1) + computed(m, 1, 3, 1, 3, 1, 3)))


def test_an_index_that_core_does_not_bound_never_reaches_the_library() -> None:
    m = Maker()
    beyond = m.case("take", apply(Op.TAKE, m.floats(2, 3), m.integers(2, low=1, high=2) + 1))
    with pytest.raises(BackendError, match="take-take has the index 2, expected 0 to 1"):
        run(Metal(), beyond)


@pytest.mark.parametrize(("dtype", "tolerance"), [(DType.F32, 2e-5), (DType.F16, 2e-3), (DType.Q8_0, 2e-2)])
@pytest.mark.parametrize("slots", [[1], [0, 1], [0, 2], [2, 0], [3, 0, 1], [0, 1, 3]])
def test_attention_over_states(slots: list[int], dtype: DType, tolerance: float) -> None:
    """Whatever slots a step names."""
    m = Maker(3)
    n = len(slots)
    m.dims |= {"N": n, "T": 2, "S": 6}
    ids, rows = m.given("N", values=slots), m.given("N", "T", values=[[4, 1]] * n)
    held = [state_write(state(f"s{at}", (4, 9, 2, 32)), ids, rows, m.floats("N", "T", 2, 32)) for at in range(2)]
    places = m.given("N", "S", values=[[-1, 0, -1, -1, 1, -1]] * n)
    mask = nn.causal_mask(m.given("N", "T", values=[[1, 0]] * n), places)
    case = m.case("states", nn.attention(m.floats("N", "T", 4, 32), *[state_read(one, ids) for one in held], mask))
    expected = evaluate(case.graph, case.inputs, case.dims, {})["out"]
    found = run(Metal(BackendOptions(cache_type=dtype)), case)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


def test_one_program_serves_every_size() -> None:
    backend = Metal()
    x = graph_input("x", ("N", "T", 4), Kind.FLOAT)
    program = backend.compile(Graph({"out": apply(Op.EXP, x).reshape("T", 2, "N", 2)}))
    for size in ((2, 3), (1, 5), (3, 1), (1, 1)):
        value = np.random.default_rng(sum(size)).normal(size=(*size, 4)).astype(np.float32)
        found = program.run({"x": value}, {"N": size[0], "T": size[1]})["out"]
        np.testing.assert_allclose(found, np.exp(value).reshape(size[1], 2, size[0], 2), rtol=1e-6)
    backend.close()
