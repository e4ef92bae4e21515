"""More forms of ops than ``op_cases``: computed sources, many axes, limits, and odd shapes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ollamax.ml import Kind, Op, Tensor, nn
from ollamax.ml.tensor import apply, cast, concat, const, gather, optional, where
from ollamax.testing.op_cases import Maker, OpCase


def further_cases() -> list[OpCase]:
    """All cases; values are the same at every call. Those with "attention" in their name add up many products."""
    return [_case(name, make) for make in (_comparisons, _further) for name in make(Maker())]


def computed_cases() -> list[OpCase]:
    """Integers, masks, rows and shapes that depend on computed values, which some libraries do not take."""
    return [_case(name, _computed_integers) for name in _computed_integers(Maker())]


def _case(name: str, make: Callable[[Maker], dict[str, Tensor]]) -> OpCase:
    maker = Maker()
    output = make(maker)[name]
    return maker.case(name, output if output.kind is Kind.FLOAT else cast(output, Kind.FLOAT))


def _computed(m: Maker, *shape: int | str, low: float = -2.0) -> Tensor:
    """A value that must be computed, so that what follows cannot be done beforehand."""
    return m.floats(*shape, low=low) * 1.0


def _comparisons(m: Maker) -> dict[str, Tensor]:
    a, b, row = _computed(m, 3, 4), _computed(m, 3, 4), _computed(m, 4)
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


def _further(m: Maker) -> dict[str, Tensor]:
    return _axes(m) | _numbers(m) | _rotations(m) | _sums(m) | _attention(m)


def _axes(m: Maker) -> dict[str, Tensor]:
    x, a = _computed(m, 2, 3, 4, 2, 5), _computed(m, 2, 3, 4)
    return {
        "five-axes": x.transpose(0, 1, 3, 2, 4),
        "five-axes-back": x.transpose(4, 3, 2, 1, 0).reshape(5, 2, 4, 3, 2),
        "six-axes": _computed(m, 2, 3, 2, 3, 2, 3).transpose(5, 3, 1, 4, 2, 0),
        "five-axes-sum": apply(Op.SUM, x, axis=1),
        "five-axes-concat": concat([x, x, x], axis=3),
        "five-axes-add": x + m.floats(4, 1, 5),
        "slice-slice": a.slice(1, 1, 3).slice(2, 1, 3),
        "take-int-sum": apply(Op.TAKE, a, m.integers(3, high=1) + 1),
        "empty-concat": concat([a.slice(1, 0, 0), a], axis=1),
        "matmul-both": _computed(m, 1, 3, 2, 4) @ _computed(m, 5, 1, 4, 3),
        "matmul-broadcast": _computed(m, 2, 4) @ _computed(m, 5, 3, 4, 3),
        "gather-deep": gather(_computed(m, 2, 5, 3, 2), m.integers(2, 3, high=5)),
    }


def _numbers(m: Maker) -> dict[str, Tensor]:
    a, positive = _computed(m, 2, 3, 4), m.floats(2, 3, 4, low=0.5) * 1.0
    infinite = const(np.array([np.inf, 1.0, -np.inf, 0.0], np.float32))
    return {
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
        "scalar": a * m.floats(1) + m.weight(1),
        "erf-large": apply(Op.ERF, a * 100.0),
    }


def _rotations(m: Maker) -> dict[str, Tensor]:
    a, one = _computed(m, 1, 2, 3, 4), m.floats(1, 1, 3, 6)
    far = m.given(1, 1, values=[[131000]])
    return {
        "dead-rope": nn.Rope(1e300, 8, "halves")(_computed(m, 1, 2, 2, 8), m.integers(1, 2, high=100000)),
        "computed-factors": nn.Rope(1e4, 4, "halves")(a, m.integers(1, 2), m.weight(2) + 1.5),
        "one-token": nn.Rope(1e4, 4, "interleaved", magnitude=1.5)(one, m.given(1, 1, values=[[90000]])),
        "one-token-halves": nn.Rope(1e4, 6, "halves", 0.5)(one, m.given(1, 1, values=[[7]]), m.weight(3)),
        "one-token-at-0": nn.Rope(1e4, 6, "halves")(one, m.given(1, 1, values=[[0]])),
        "far": nn.Rope(5e5, 6, "halves")(one, far),
        "far-interleaved": nn.Rope(5e5, 4, "interleaved")(_computed(m, 2, 2, 3, 6), m.integers(2, 2, high=131000)),
        "far-scaled": nn.Rope(1e4, 6, "halves", scale=0.3)(one, far),
        "far-factors": nn.Rope(5e5, 6, "halves")(one, far, m.weight(3, low=2.0, high=3.0)),
    }


def _sums(m: Maker) -> dict[str, Tensor]:
    """Sums that are normalised next, as the residual stream is, also where the sum is needed further on."""
    total, row = _computed(m, 2, 3, 8) + _computed(m, 2, 3, 8), _computed(m, 2, 3, 8) + m.floats(8)
    first, second, other = (
        optional(Op.RMS_NORM, x, extra={"weight": m.weight(8)}, eps=1e-5) for x in (total, total, row)
    )
    return {"sum-norm": first, "sum-norms": first * second, "sum-and-norm": total + first, "sum-row-norm": other}


def _attention(m: Maker) -> dict[str, Tensor]:
    """Many queries with a window, some of which see nothing; and one query of many cells, half of them empty."""
    query, key = m.integers(2, 70, low=-4, high=90), m.integers(2, 90, low=-3, high=90)
    q, k, v = _computed(m, 2, 70, 4, 16), _computed(m, 2, 90, 2, 16), _computed(m, 2, 90, 2, 32)
    mask = nn.causal_mask(query, key, window=40)
    cells = m.given(1, 1200, values=[[-1] * 600 + list(range(600))])
    single, keys, values = _computed(m, 1, 1, 4, 16), _computed(m, 1, 1200, 2, 16), _computed(m, 1, 1200, 2, 16)
    hidden = nn.causal_mask(m.given(1, 1, values=[[300]]), cells)
    return {
        "attention-tiles": nn.attention(q, k, v, mask),
        "attention-capped": nn.attention(q, k, v, mask, softcap=3.0),
        "attention-split": nn.attention(single, keys, values, hidden, sinks=m.weight(4)),
    }


def _computed_integers(m: Maker) -> dict[str, Tensor]:
    a = _computed(m, 2, 3, 4)
    seen = apply(Op.LT, 0.0, a)
    queries, keys = _computed(m, 2, 3, 2, 8), _computed(m, 2, 4, 2, 8)
    return {
        "integers": cast(cast(a, Kind.INT), Kind.FLOAT),
        "mask": nn.attention(queries, keys, keys, seen),
        "six-axes-differ": _computed(m, 2, 1, 2, 1, 2, 1) + _computed(m, 1, 3, 1, 3, 1, 3),
    }
