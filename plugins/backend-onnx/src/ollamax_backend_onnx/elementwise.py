"""Operations element by element, reductions, and movement of elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ollamax.ml import Kind, Op, Tensor
from ollamax.ml.shape import Dim, Shape
from ollamax.ml.shape_rules import window_count
from ollamax_backend_onnx.builder import CONTRIB, ONNX_KIND, Builder

Emit = Callable[[Builder, Tensor], str]


def _plain(operation: str, **attributes: Any) -> Emit:
    return lambda b, node: b.emit(operation, *map(b.value, node.srcs), **attributes)


def _joined(operation: str) -> Emit:
    """Operands become the kind of the result first, as in NumPy."""
    return lambda b, node: b.emit(operation, *(b.as_kind(src, node.kind) for src in node.srcs))


def _compared(operation: str) -> Emit:
    def emit(b: Builder, node: Tensor) -> str:
        kinds = {src.kind for src in node.srcs}
        kind = next(kind for kind in (Kind.FLOAT, Kind.INT, Kind.BOOL) if kind in kinds)
        return b.emit(operation, *(b.as_kind(src, kind) for src in node.srcs))

    return emit


def _reduced(operation: str) -> Emit:
    return lambda b, node: b.emit(operation, b.value(node.srcs[0]), b.integers(node.attrs["axis"]), keepdims=1)


def where(b: Builder, node: Tensor) -> str:
    """Both branches become the kind of the result; the runtime has no form for booleans."""
    condition, yes, no = node.srcs
    if node.kind is Kind.BOOL:
        chosen = b.emit("And", b.value(condition), b.value(yes))
        return b.emit("Or", chosen, b.emit("And", b.emit("Not", b.value(condition)), b.value(no)))
    return b.emit("Where", b.value(condition), b.as_kind(yes, node.kind), b.as_kind(no, node.kind))


def cast(b: Builder, node: Tensor) -> str:
    """To the runtime's type of a kind."""
    return b.emit("Cast", b.value(node.srcs[0]), to=ONNX_KIND[node.attrs["kind"]])


def silu(b: Builder, node: Tensor) -> str:
    """``x sigmoid(alpha x)``, of which ``alpha = 1`` is what is wanted."""
    return b.emit("QuickGelu", b.value(node.srcs[0]), domain=CONTRIB, alpha=1.0)


def silu_mul(b: Builder, node: Tensor) -> str:
    """The product of SwiGLU."""
    return b.emit("Mul", silu(b, node), b.value(node.srcs[1]))


def gelu(b: Builder, node: Tensor) -> str:
    """The exact form, or the tanh approximation."""
    return b.emit("Gelu", b.value(node.srcs[0]), approximate="tanh" if node.attrs["approximate"] else "none")


def reshape(b: Builder, node: Tensor) -> str:
    """Sizes that stay at their place are 0, and one that is left is -1: most shapes need no computation."""
    before, after = node.srcs[0].shape, node.shape
    sizes = [0 if at < len(before) and before[at] == size else size for at, size in enumerate(after)]
    symbols = [size for size in sizes if isinstance(size, str)]
    if 0 in after or 0 in before or len(symbols) > 1:
        return b.emit("Reshape", b.value(node.srcs[0]), b.shape(*after), allowzero=1)
    return b.reshape(b.value(node.srcs[0]), *(-1 if isinstance(size, str) else size for size in sizes))


def transpose(b: Builder, node: Tensor) -> str:
    """Axes in a new order."""
    return b.emit("Transpose", b.value(node.srcs[0]), perm=list(node.attrs["axes"]))


def cut(b: Builder, node: Tensor) -> str:
    """A part of an axis."""
    start, stop, axis = (b.integers(node.attrs[key]) for key in ("start", "stop", "axis"))
    return b.emit("Slice", b.value(node.srcs[0]), start, stop, axis)


def pad(b: Builder, node: Tensor) -> str:
    """Zeros before and after."""
    counts = b.integers(node.attrs["before"], node.attrs["after"])
    zero = b.constant(0, {Kind.FLOAT: np.float32, Kind.INT: np.int64, Kind.BOOL: np.bool_}[node.kind])
    return b.emit("Pad", b.value(node.srcs[0]), counts, zero, b.integers(node.attrs["axis"]))


def repeat(b: Builder, node: Tensor) -> str:
    """Each element several times in a row: a further axis, tiled."""
    rank = len(node.shape)
    axis = node.attrs["axis"] % rank
    counts = [1] * (rank + 1)
    counts[axis + 1] = node.attrs["times"]
    wide = b.emit("Tile", b.emit("Unsqueeze", b.value(node.srcs[0]), b.integers(axis + 1)), b.integers(*counts))
    return b.emit("Reshape", wide, b.shape(*node.shape))


def im2col(b: Builder, node: Tensor) -> str:
    """Every window as a row: numbers of pixels are looked up in the padded picture."""
    x, (kh, kw) = node.srcs[0], node.attrs["kernel"]
    stride, padding = node.attrs["stride"], node.attrs["padding"]
    channels, height, width = _fixed(x.shape[1:])
    rows, columns = window_count(height, kh, stride, padding), window_count(width, kw, stride, padding)
    high, wide = height + 2 * padding, width + 2 * padding
    pixels = np.arange(channels * high * wide).reshape(channels, high, wide)
    places = [
        pixels[:, r * stride : r * stride + kh, c * stride : c * stride + kw].ravel()
        for r in range(rows)
        for c in range(columns)
    ]
    counts = b.integers(0, 0, padding, padding, 0, 0, padding, padding)
    flat = b.reshape(b.emit("Pad", b.value(x), counts), 0, channels * high * wide)
    return b.emit("Gather", flat, b.constant(np.stack(places), np.int64), axis=1)


def _fixed(shape: Shape) -> tuple[int, ...]:
    sizes: tuple[Dim, ...] = shape
    return tuple(size for size in sizes if isinstance(size, int))


EMITTERS: dict[Op, Emit] = {
    Op.NEG: _plain("Neg"),
    Op.EXP: _plain("Exp"),
    Op.LOG: _plain("Log"),
    Op.SQRT: _plain("Sqrt"),
    Op.RECIPROCAL: _plain("Reciprocal"),
    Op.SIN: _plain("Sin"),
    Op.COS: _plain("Cos"),
    Op.TANH: _plain("Tanh"),
    Op.ERF: _plain("Erf"),
    Op.ABS: _plain("Abs"),
    Op.NOT: _plain("Not"),
    Op.CAST: cast,
    Op.ADD: _joined("Add"),
    Op.SUB: _joined("Sub"),
    Op.MUL: _joined("Mul"),
    Op.DIV: _joined("Div"),
    Op.MAXIMUM: _joined("Max"),
    Op.MINIMUM: _joined("Min"),
    Op.POW: _joined("Pow"),
    Op.EQ: _compared("Equal"),
    Op.LT: _compared("Less"),
    Op.LE: _compared("LessOrEqual"),
    Op.AND: _plain("And"),
    Op.OR: _plain("Or"),
    Op.WHERE: where,
    Op.RESHAPE: reshape,
    Op.TRANSPOSE: transpose,
    Op.SLICE: cut,
    Op.CONCAT: lambda b, node: b.emit("Concat", *map(b.value, node.srcs), axis=node.attrs["axis"]),
    Op.PAD: pad,
    Op.REPEAT: repeat,
    Op.IM2COL: im2col,
    Op.SUM: _reduced("ReduceSum"),
    Op.MEAN: _reduced("ReduceMean"),
    Op.MAX: _reduced("ReduceMax"),
    Op.SIGMOID: _plain("Sigmoid"),
    Op.RELU: _plain("Relu"),
    Op.SOFTMAX: _plain("Softmax", axis=-1),
    Op.SILU: silu,
    Op.SILU_MUL: silu_mul,
    Op.GELU: gelu,
}
