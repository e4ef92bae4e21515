"""Ops on elements: most are the library's own, the others are put together from them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ollamax.errors import BackendError
from ollamax.ml import Kind, Op, Tensor
from ollamax.types import DType
from ollamax_backend_ggml.builder import Builder, Value
from ollamax_backend_ggml.host import IndexWriter
from ollamax_backend_ggml.sizes import Sizes, fast_first, merged

Emit = Callable[[Builder, Tensor], Value]

_ERF_SATURATES = 8.0
"""Beyond this the error function is 1 in float32."""


def unary(operation: str) -> Emit:
    """One function of the library."""

    def emit(b: Builder, node: Tensor) -> Value:
        return b.result(b.make(operation, b.value(node.srcs[0]).tensor), node)

    return emit


def reciprocal(b: Builder, node: Tensor) -> Value:
    """A quotient with a broadcast 1."""
    x = b.value(node.srcs[0])
    one = b.constant(("number", 1.0), lambda: np.ones(1, np.float32))
    count = math.prod(x.shape)
    return b.result(b.make("div", b.make("repeat_4d", one, count, 1, 1, 1), b.shaped(x, count)), node)


def erf(b: Builder, node: Tensor) -> Value:
    """By the exact GELU: ``gelu(y) = y / 2 (1 + erf(y / sqrt(2)))``."""
    scaled = b.make("scale", b.value(node.srcs[0]).tensor, math.sqrt(2.0))
    # The clamp works in place, on the scaled copy; the tiny addend keeps 0 from dividing itself.
    y = b.make("scale_bias", b.make("clamp", scaled, -_ERF_SATURATES, _ERF_SATURATES), 1.0, 1e-30)
    return b.result(b.make("scale_bias", b.make("div", b.make("gelu_erf", y), y), 2.0, -1.0), node)


def gelu(b: Builder, node: Tensor) -> Value:
    """The exact form is the library's; its tanh form looks up a float16 table, so that one is put together here."""
    x = b.value(node.srcs[0]).tensor
    if not node.attrs["approximate"]:
        return b.result(b.make("gelu_erf", x), node)
    # 0.5 x (1 + tanh(c (x + 0.044715 x^3))) with c = sqrt(2 / pi).
    c = math.sqrt(2.0 / math.pi)
    inner = b.make("mul", b.make("scale_bias", b.make("sqr", x), 0.044715 * c, c), x)
    share = b.make("scale_bias", b.make("tanh", inner), 0.5, 0.5)
    return b.result(b.make("mul", share, x), node)


def cast(b: Builder, node: Tensor) -> Value:
    """Floats hold booleans and the host's integers already."""
    x = b.value(node.srcs[0])
    if node.attrs["kind"] is Kind.BOOL and node.srcs[0].kind is not Kind.BOOL:
        return b.result(b.make("step", b.make("abs", x.tensor)), node)
    return x


def logical_not(b: Builder, node: Tensor) -> Value:
    """``1 - x``."""
    return b.result(b.make("scale_bias", b.value(node.srcs[0]).tensor, -1.0, 1.0), node)


def arithmetic(operation: str) -> Emit:
    """Addition and its like, with broadcasting; a constant number becomes a scale or an offset."""

    def emit(b: Builder, node: Tensor) -> Value:
        scaled = _by_number(b, node)
        if scaled:
            return b.result(scaled, node)
        one, other = _operands(b, node, swaps=operation in ("add", "mul"))
        return b.result(b.make(operation, one, other), node)

    return emit


def _by_number(b: Builder, node: Tensor) -> int:
    """The tensor for a sum with or a product by a constant number, or 0."""
    left, right = node.srcs
    if node.op in (Op.ADD, Op.MUL) and b.number(right) is None:
        left, right = right, left
    number = b.number(right)
    if number is None or b.shape(left) != b.shape(node) or (node.op is Op.DIV and not number):
        return 0
    x = b.value(left).tensor
    if node.op in (Op.MUL, Op.DIV):
        return b.make("scale", x, number if node.op is Op.MUL else 1.0 / number)
    return b.make("scale_bias", x, 1.0, number if node.op is Op.ADD else -number)


def extremum(sign: float) -> Emit:
    """The greater (``sign`` 1) or the lesser (-1) of two: the element at the index of their greatest."""

    def emit(b: Builder, node: Tensor) -> Value:
        number = b.number(node.srcs[1])
        if number is not None and b.shape(node.srcs[0]) == b.shape(node):
            copy = b.make("dup", b.value(node.srcs[0]).tensor)  # the clamp works in place
            low, high = (number, math.inf) if sign > 0 else (-math.inf, number)
            return b.result(b.make("clamp", copy, low, high), node)
        count = math.prod(b.shape(node))
        columns = [b.reshaped(_signed(b, side, sign), 1, count) for side in _full(b, node)]
        pairs = b.make("concat", *columns, 0)
        return b.result(_signed(b, greatest(b, pairs, 2, count), sign), node)

    return emit


def greatest(b: Builder, rows: int, width: int, count: int) -> int:
    """The greatest element of each of ``count`` rows: ``(1, 1, count)``."""
    places = b.make("argmax", rows)
    table, ids = b.reshaped(rows, 1, width, count), b.reshaped(places, 1, count)
    return b.make("get_rows", table, ids)


def power(b: Builder, node: Tensor) -> Value:
    """Squares and roots as such, whole powers by the logarithm of the magnitude, others by the logarithm."""
    base, exponent = b.value(node.srcs[0]), b.number(node.srcs[1])
    same = base.shape == b.shape(node)
    if exponent == 2.0 and same:
        return b.result(b.make("sqr", base.tensor), node)
    if exponent == 0.5 and same:
        return b.result(b.make("sqrt", base.tensor), node)
    if exponent is not None and exponent == int(exponent) and same:
        size = b.make("exp", b.make("scale", b.make("log", b.make("abs", base.tensor)), exponent))
        return b.result(b.make("mul", size, b.make("sgn", base.tensor)) if exponent % 2 else size, node)
    left, right = _full(b, node)
    return b.result(b.make("exp", b.make("mul", b.make("log", left), right)), node)


def compare(b: Builder, node: Tensor) -> Value:
    """By the sign of a difference; what is not finite compares as in NumPy, except NaN."""
    left, right = _full(b, node)
    if node.op is Op.LT:
        return b.result(b.make("step", b.make("sub", right, left)), node)
    difference = b.make("sub", left, right)
    apart = b.make("step", b.make("abs", difference) if node.op is Op.EQ else difference)
    return b.result(b.make("scale_bias", apart, -1.0, 1.0), node)


def logical_and(b: Builder, node: Tensor) -> Value:
    """A product of 0 and 1."""
    return b.result(b.make("mul", *_operands(b, node, swaps=True)), node)


def logical_or(b: Builder, node: Tensor) -> Value:
    """Whether a sum of 0 and 1 is positive."""
    return b.result(b.make("step", b.make("add", *_operands(b, node, swaps=True))), node)


def where(b: Builder, node: Tensor) -> Value:
    """Rows of a table of both sides; exact for infinities, too."""
    condition = node.srcs[0]
    shape, chosen = b.shape(node), b.shape(condition)
    chosen = (1,) * (len(shape) - len(chosen)) + chosen
    varying = [axis for axis, size in enumerate(chosen) if size > 1]
    split = varying[-1] + 1 if varying else 0  # behind this axis the condition is the same
    count, length = math.prod(shape[:split]), math.prod(shape[split:])
    ids = _choice(b, condition, chosen[:split], shape[:split], count)
    sides = [b.reshaped(_stretched(b, b.value(src), shape), length, 1, count) for src in (node.srcs[2], node.srcs[1])]
    return b.result(b.make("get_rows", b.make("concat", *sides, 1), ids), node)


def _choice(b: Builder, condition: Tensor, given: Sizes, wanted: Sizes, count: int) -> int:
    """The condition as int32 ``(1, count)``, broadcast from ``given`` to ``wanted``."""
    if given == wanted and b.on_host(condition):
        return b.upload(DType.I32, (1, count), IndexWriter(0, 2, "a condition"), condition)
    whole = _stretched(b, Value(b.value(condition).tensor, given), wanted)
    return b.reshaped(b.make("cast", whole, DType.I32), 1, count)


def silu_mul(b: Builder, node: Tensor) -> Value:
    """One op of the library for equal shapes."""
    gate, up = (b.value(src) for src in node.srcs)
    if gate.shape == up.shape:
        return b.result(b.make("swiglu_split", b.flat(gate), b.flat(up)), node)
    left, right = _full(b, node)
    return b.result(b.make("mul", b.make("silu", left), right), node)


def _signed(b: Builder, tensor: int, sign: float) -> int:
    return tensor if sign > 0 else b.make("neg", tensor)


def _operands(b: Builder, node: Tensor, swaps: bool) -> tuple[int, int]:
    """Both sources, the first as large as the result and the second such that the library broadcasts it."""
    values = [b.value(src) for src in node.srcs]
    shape = b.shape(node)
    if values[0].shape == values[1].shape == shape:
        return b.flat(values[0]), b.flat(values[1])  # the library's threads share out rows
    if swaps and values[0].shape != shape and values[1].shape == shape:
        values.reverse()
    whole, sides = merged(shape, [value.shape for value in values], node.op)
    first = b.shaped(values[0], *fast_first(sides[0]))
    if sides[0] != whole:
        first = b.make("repeat_4d", first, *fast_first(whole))
    return first, b.shaped(values[1], *fast_first(sides[1]))


def _full(b: Builder, node: Tensor) -> tuple[int, int]:
    """Both sources as large as the result, flat."""
    one, other = (_stretched(b, b.value(src), b.shape(node)) for src in node.srcs)
    return one, other


def _stretched(b: Builder, value: Value, shape: Sizes) -> int:
    """``value`` broadcast to ``shape``, flat."""
    count = math.prod(shape)
    if count > _MOST_ELEMENTS:
        raise BackendError(f"backend ggml: {count:,} elements are too many for a choice between two tensors")
    whole, (side,) = merged(shape, [value.shape], "broadcasting")
    tensor = b.shaped(value, *fast_first(side))
    if side != whole:
        tensor = b.make("repeat_4d", tensor, *fast_first(whole))
    return b.reshaped(tensor, count)


_MOST_ELEMENTS = 1 << 31

EMITTERS: dict[Op, Emit] = {
    **{
        op: unary(op.value)
        for op in (
            *(Op.NEG, Op.EXP, Op.LOG, Op.SQRT, Op.SIN, Op.COS, Op.TANH, Op.ABS),
            *(Op.SIGMOID, Op.RELU, Op.SILU),
        )
    },
    Op.RECIPROCAL: reciprocal,
    Op.ERF: erf,
    Op.GELU: gelu,
    Op.CAST: cast,
    Op.NOT: logical_not,
    Op.ADD: arithmetic("add"),
    Op.SUB: arithmetic("sub"),
    Op.MUL: arithmetic("mul"),
    Op.DIV: arithmetic("div"),
    Op.MAXIMUM: extremum(1.0),
    Op.MINIMUM: extremum(-1.0),
    Op.POW: power,
    Op.EQ: compare,
    Op.LT: compare,
    Op.LE: compare,
    Op.AND: logical_and,
    Op.OR: logical_or,
    Op.WHERE: where,
    Op.SILU_MUL: silu_mul,
}
