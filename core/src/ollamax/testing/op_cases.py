"""One or more small graphs for every op: the cases that each backend is compared with the reference on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ollamax.ml import Graph, Kind, Op, Tensor, nn
from ollamax.ml.shape import Dim
from ollamax.ml.tensor import (
    apply,
    cast,
    concat,
    const,
    gather,
    graph_input,
    optional,
    state,
    state_read,
    state_write,
    weight,
    where,
)
from ollamax.types import DType

Array = npt.NDArray[Any]


@dataclass
class OpCase:
    """A graph with everything to run it; ``weights`` are float32, to be stored as F32."""

    op: Op
    name: str
    output: Tensor
    inputs: dict[str, Array] = field(default_factory=dict)
    weights: dict[str, Array] = field(default_factory=dict)
    dims: dict[str, int] = field(default_factory=dict)

    @property
    def graph(self) -> Graph:
        """The case's graph, with one output called "out"."""
        return Graph({"out": self.output}, name=str(self))

    def __str__(self) -> str:
        return f"{self.op}-{self.name}"


class Maker:
    """Makes inputs and weights with known random values, and collects them."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.inputs: dict[str, Array] = {}
        self.weights: dict[str, Array] = {}
        self.dims: dict[str, int] = {}

    def floats(self, *shape: Dim, low: float = -2.0, high: float = 2.0) -> Tensor:
        """A float input with values between ``low`` and ``high``."""
        return self._input(shape, Kind.FLOAT, self.random.uniform(low, high, self._size(shape)).astype(np.float32))

    def integers(self, *shape: Dim, low: int = 0, high: int = 8, bound: Dim | None = None) -> Tensor:
        """An integer input with values from ``low`` to ``high`` (exclusive)."""
        return self._input(shape, Kind.INT, self.random.integers(low, high, self._size(shape)), bound)

    def given(self, *shape: Dim, values: Any) -> Tensor:
        """An integer input with these values."""
        return self._input(shape, Kind.INT, np.asarray(values, np.int64))

    def booleans(self, *shape: Dim) -> Tensor:
        """A boolean input."""
        return self._input(shape, Kind.BOOL, self.random.random(self._size(shape)) < 0.5)

    def weight(self, *shape: int, low: float = -1.0, high: float = 1.0) -> Tensor:
        """A weight."""
        name = f"w{len(self.weights)}"
        self.weights[name] = self.random.uniform(low, high, shape).astype(np.float32)
        return weight(name, shape, DType.F32)

    def case(self, name: str, output: Tensor, op: Op | None = None) -> OpCase:
        """The finished case; its op is the output's."""
        return OpCase(op or output.op, name, output, self.inputs, self.weights, self.dims)

    def _size(self, shape: tuple[Dim, ...]) -> tuple[int, ...]:
        return tuple(size if isinstance(size, int) else self.dims[size] for size in shape)

    def _input(self, shape: tuple[Dim, ...], kind: Kind, value: Array, bound: Dim | None = None) -> Tensor:
        name = f"i{len(self.inputs)}"
        self.inputs[name] = value
        return graph_input(name, shape, kind, bound)


def _unary(m: Maker) -> Iterator[tuple[str, Tensor]]:
    x = m.floats(2, 3, 5)
    positive = m.floats(2, 3, 5, low=0.1)
    for op in (Op.NEG, Op.EXP, Op.SIN, Op.COS, Op.TANH, Op.ERF, Op.ABS, Op.SIGMOID, Op.RELU, Op.SILU):
        yield "plain", apply(op, x)
    for op in (Op.LOG, Op.SQRT, Op.RECIPROCAL):
        yield "positive", apply(op, positive)
    large = m.floats(7, low=-120.0, high=120.0)
    for op in (Op.SIGMOID, Op.SILU, Op.TANH, Op.SOFTMAX):
        yield "large", apply(op, large)
    yield "bool", apply(Op.NOT, m.booleans(4, 3))
    yield "to-float", cast(m.integers(4, 3, low=-5), Kind.FLOAT)
    yield "erf", nn.gelu(x)
    yield "tanh", nn.gelu(x, approximate=True)


def _binary(m: Maker) -> Iterator[tuple[str, Tensor]]:
    a, b, row = m.floats(2, 3, 5), m.floats(2, 3, 5, low=0.5), m.floats(5, low=0.5)
    for op in (Op.ADD, Op.SUB, Op.MUL, Op.DIV, Op.MAXIMUM, Op.MINIMUM, Op.SILU_MUL):
        yield "same", apply(op, a, b)
        yield "row", apply(op, a, row)
        yield "column", apply(op, m.floats(2, 3, 1), b)
    yield "number", a * 3.0
    yield "positive", apply(Op.POW, b, 1.5)
    i, j = m.integers(3, 4), m.integers(3, 4)
    for op in (Op.EQ, Op.LT, Op.LE):
        yield "integers", apply(op, i, j)
        yield "floats", apply(op, a, row)
    for op in (Op.AND, Op.OR):
        yield "bool", apply(op, m.booleans(3, 4), m.booleans(4))
    yield "broadcast", where(m.booleans(3, 1), m.floats(3, 4), m.floats(4))
    yield "number", where(m.booleans(3, 4), m.floats(3, 4), -1.0)
    yield "booleans", where(m.booleans(3, 1), m.booleans(3, 4), m.booleans(4))


def _movement(m: Maker) -> Iterator[tuple[str, Tensor]]:
    x = m.floats(2, 3, 4, 6)
    yield "split", x.reshape(2, 3, 4, 2, 3)
    yield "merge", x.merge_heads()
    yield "all", x.transpose(3, 1, 0, 2)
    yield "last-two", x.transpose()
    yield "middle", x.slice(2, 1, 3)
    yield "last", x.slice(-1, 2, 6)
    yield "empty", x.slice(1, 1, 1)
    yield "last", concat([x, m.floats(2, 3, 4, 1)])
    yield "first", concat([x, x, m.floats(1, 3, 4, 6)], axis=0)
    yield "both", apply(Op.PAD, x, axis=1, before=1, after=2)
    yield "heads", x.repeat(2, 3)
    yield "overlap", apply(Op.IM2COL, m.floats(2, 3, 7, 6), kernel=(3, 2), stride=2, padding=1)
    for op in (Op.SUM, Op.MEAN, Op.MAX):
        yield "last", apply(op, x, axis=-1)
        yield "first", apply(op, x, axis=0)
    yield "axes", apply(Op.SOFTMAX, x)


def _products(m: Maker) -> Iterator[tuple[str, Tensor]]:
    m.dims |= {"T": 5}
    x = m.floats(2, "T", 8)
    yield "plain", m.floats(3, 4) @ m.floats(4, 6)
    yield "batch", m.floats(2, 3, 4, 5) @ m.floats(3, 5, 2)
    yield "rows", apply(Op.TAKE, m.floats(9, 4), m.integers(2, 3, high=9))
    yield "sequences", gather(x, m.integers(2, 3, high=5))
    yield "f32", apply(Op.DEQUANTIZE, m.weight(4, 6))
    yield "plain", optional(Op.LINEAR, x, m.weight(6, 8), extra={"bias": None})
    yield "bias", optional(Op.LINEAR, x, m.weight(6, 8), extra={"bias": m.weight(6)})
    yield "vector", optional(Op.LINEAR, m.floats(8), m.weight(6, 8), extra={"bias": m.weight(6)})
    yield "tokens", apply(Op.EMBEDDING, m.weight(11, 6), m.integers(2, "T", high=11))
    for op in (Op.RMS_NORM, Op.LAYER_NORM):
        yield "bare", optional(op, x, extra={}, eps=1e-5)
        yield "weight", optional(op, x, extra={"weight": m.weight(8)}, eps=1e-5)
    extra = {"weight": m.weight(8), "bias": m.weight(8)}
    yield "both", optional(Op.LAYER_NORM, m.floats(2, 3, 8, low=90.0, high=100.0), extra=extra, eps=1e-5)
    image, kernel = m.floats(2, 3, 8, 6), m.weight(4, 3, 3, 2)
    yield "stride", optional(Op.CONV2D, image, kernel, extra={"bias": None}, stride=2, padding=1)
    yield "bias", optional(Op.CONV2D, image, kernel, extra={"bias": m.weight(4)}, stride=1, padding=0)


def _positions(m: Maker) -> Iterator[tuple[str, Tensor]]:
    m.dims |= {"N": 2, "T": 3, "S": 6}
    x = m.floats("N", "T", 4, 8)
    places = m.given("N", "T", values=[[0, 1, 2], [400, 7, 31]])
    for pairing in ("interleaved", "halves"):
        yield f"{pairing}", nn.Rope(10000.0, 8, pairing)(x, places)
        yield f"{pairing}-part", nn.Rope(500000.0, 4, pairing, scale=0.25)(x, places)
        factors = m.weight(4, low=1.0, high=8.0)
        yield f"{pairing}-factors", nn.Rope(10000.0, 8, pairing, magnitude=1.2)(x, places, factors)
    query = m.given("N", "T", values=[[3, 4, 5], [0, 1, 2]])
    key = m.given("N", "S", values=[[0, 1, 2, 3, 4, 5], [2, -1, 0, 1, -1, -1]])
    yield "causal", nn.causal_mask(query, key)
    yield "window", nn.causal_mask(query, key, window=2)
    yield from _attention(m, x, nn.causal_mask(query, key))


def _attention(m: Maker, q: Tensor, mask: Tensor) -> Iterator[tuple[str, Tensor]]:
    k, v = m.floats("N", "S", 2, 8), m.floats("N", "S", 2, 8)
    nothing = m.given("N", "S", values=np.full((2, 6), -1))
    blind = nn.causal_mask(m.given("N", "T", values=[[1, 2, 3], [4, 5, 6]]), nothing)
    one = m.given("N", "S", values=[[-1, -1, 5, -1, -1, -1], [-1] * 6])
    sinks = m.weight(4, low=-3.0, high=3.0)
    yield "open", nn.attention(q, k, v)
    yield "causal", nn.attention(q, k, v, mask)
    yield "every-head", nn.attention(q, m.floats("N", "S", 4, 8), m.floats("N", "S", 4, 8), mask)
    yield "one-group", nn.attention(q, m.floats("N", "S", 1, 8), m.floats("N", "S", 1, 8), mask)
    yield "other-width", nn.attention(q, k, m.floats("N", "S", 2, 5), mask, scale=0.7)
    yield "sinks", nn.attention(q, k, v, mask, sinks=sinks)
    yield "softcap", nn.attention(q, k, v, mask, softcap=0.8)
    yield "sees-nothing", nn.attention(q, k, v, blind)
    yield "some-rows-blind", nn.attention(q, k, v, nn.causal_mask(m.integers("N", "T", low=4, high=6), one))
    yield "blind-with-sinks", nn.attention(q, k, v, blind, sinks=sinks)


def _states(m: Maker) -> Iterator[tuple[str, Tensor]]:
    m.dims |= {"N": 2, "T": 2, "S": 4}
    slots = m.given("N", values=[2, 0])
    rows = m.given("N", "T", values=[[3, 1], [0, 2]])
    written = state_write(state("heads", (3, 5, 2, 4)), slots, rows, m.floats("N", "T", 2, 4))
    yield "heads", state_read(written, slots)
    yield "neighbours", state_read(written, m.given("N", values=[1, 2]))
    flat = state_write(state("flat", (3, 5, 4)), slots, rows, m.floats("N", "T", 4))
    yield "flat", state_read(flat, slots)


def op_cases() -> list[OpCase]:
    """All cases; values are the same at every call."""
    groups: tuple[Callable[[Maker], Iterator[tuple[str, Tensor]]], ...] = (
        _unary,
        _binary,
        _movement,
        _products,
        _positions,
        _states,
    )
    cases = []
    for seed, group in enumerate(groups):
        maker = Maker(seed)
        cases += [maker.case(name, output) for name, output in group(maker)]
    cases.append(_constant())
    return cases


def _constant() -> OpCase:
    maker = Maker()
    table = const(np.arange(6, dtype=np.float32).reshape(2, 3))
    return maker.case("table", maker.floats(2, 3) + table, Op.CONST)
