"""The shape rule of every op: what it takes, and the shape and kind of its result.

A rule's docstring names sources with their shapes, and attributes; the reference pages show it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ollamax.errors import GraphError
from ollamax.ml.ops import BINARY, COMPARE, LEAVES, REDUCE, UNARY, Op
from ollamax.ml.shape import Dim, Shape, broadcast, same_size, text
from ollamax.ml.tensor import Kind

if TYPE_CHECKING:
    from ollamax.ml.tensor import Tensor

Attrs = Mapping[str, Any]
Result = tuple[Shape, Kind]
Rule = Callable[[tuple["Tensor", ...], Attrs], Result]


def infer(op: Op, srcs: tuple[Tensor, ...], attrs: Attrs) -> Result:
    """Shape and kind of ``op`` on ``srcs``; raises GraphError naming the op and the shapes that do not fit."""
    if op in LEAVES:
        raise GraphError(f"{op} is a leaf and has no sources; use ollamax.ml.tensor.{op}")
    try:
        return RULES[op](srcs, attrs)
    except (GraphError, IndexError, ValueError, TypeError, KeyError) as error:
        shapes = ", ".join(text(src.shape) for src in srcs)
        raise GraphError(f"{op} does not take {shapes or 'nothing'} with {dict(attrs)}: {error}") from None


def _need(condition: bool, problem: str) -> None:
    if not condition:
        raise GraphError(problem)


def _fixed(size: Dim, what: str) -> int:
    if not isinstance(size, int):
        raise GraphError(f"{what} must have a fixed size, not {size}")
    return size


def _axis(shape: Shape, axis: int) -> int:
    _need(-len(shape) <= axis < len(shape), f"axis {axis} is outside {text(shape)}")
    return axis % len(shape)


def _unary(srcs: tuple[Tensor, ...], _: Attrs) -> Result:
    """``x`` of any shape; the result has the same."""
    (x,) = srcs
    return x.shape, x.kind


def _binary(srcs: tuple[Tensor, ...], _: Attrs) -> Result:
    """``a`` and ``b``, which broadcast; float if one of them is."""
    a, b = srcs
    return broadcast(a.shape, b.shape), Kind.FLOAT if Kind.FLOAT in (a.kind, b.kind) else a.kind


def _compare(srcs: tuple[Tensor, ...], _: Attrs) -> Result:
    """``a`` and ``b``, which broadcast; the result is bool."""
    a, b = srcs
    return broadcast(a.shape, b.shape), Kind.BOOL


def _where(srcs: tuple[Tensor, ...], _: Attrs) -> Result:
    """``condition`` (bool), ``yes`` and ``no``, which broadcast."""
    condition, yes, no = srcs
    _need(condition.kind is Kind.BOOL, "the condition must be bool")
    kind = Kind.FLOAT if Kind.FLOAT in (yes.kind, no.kind) else yes.kind
    return broadcast(condition.shape, yes.shape, no.shape), kind


def _cast(srcs: tuple[Tensor, ...], attrs: Attrs) -> Result:
    """``x`` of any shape; ``kind`` is what its elements become."""
    return srcs[0].shape, Kind(attrs["kind"])


def _reshape(srcs: tuple[Tensor, ...], attrs: Attrs) -> Result:
    """``x``; ``shape`` is a shape of equally many elements, and of the same symbols."""
    shape: Shape = tuple(attrs["shape"])
    _need(same_size(srcs[0].shape, shape), f"{text(shape)} has another number of elements")
    return shape, srcs[0].kind


def _transpose(srcs: tuple[Tensor, ...], attrs: Attrs) -> Result:
    """``x``; ``axes`` is the order of its axes."""
    shape, axes = srcs[0].shape, attrs["axes"]
    _need(sorted(axes) == list(range(len(shape))), f"{axes} is no order of {len(shape)} axes")
    return tuple(shape[axis] for axis in axes), srcs[0].kind


def _slice(srcs: tuple[Tensor, ...], attrs: Attrs) -> Result:
    """``x``; elements ``start`` to ``stop`` (exclusive) of ``axis``, whose size is fixed."""
    shape, start, stop = srcs[0].shape, attrs["start"], attrs["stop"]
    axis = _axis(shape, attrs["axis"])
    size = _fixed(shape[axis], "a sliced axis")
    _need(0 <= start <= stop <= size, f"{start}:{stop} is outside an axis of {size}")
    return (*shape[:axis], stop - start, *shape[axis + 1 :]), srcs[0].kind


def _concat(srcs: tuple[Tensor, ...], attrs: Attrs) -> Result:
    """Tensors whose other axes agree, joined along ``axis``, whose sizes are fixed."""
    first = srcs[0].shape
    axis = _axis(first, attrs["axis"])
    rest = first[:axis] + first[axis + 1 :]
    total = 0
    for src in srcs:
        _need(src.shape[:axis] + src.shape[axis + 1 :] == rest, "the other axes differ")
        total += _fixed(src.shape[axis], "a joined axis")
    return (*first[:axis], total, *first[axis + 1 :]), srcs[0].kind


def _pad(srcs: tuple[Tensor, ...], attrs: Attrs) -> Result:
    """``x``; ``before`` and ``after`` count the zeros at both ends of ``axis``, whose size is fixed."""
    shape = srcs[0].shape
    axis = _axis(shape, attrs["axis"])
    size = _fixed(shape[axis], "a padded axis")
    _need(attrs["before"] >= 0 and attrs["after"] >= 0, "padding cannot be negative")
    return (*shape[:axis], size + attrs["before"] + attrs["after"], *shape[axis + 1 :]), srcs[0].kind


def _repeat(srcs: tuple[Tensor, ...], attrs: Attrs) -> Result:
    """``x``; each element of ``axis``, whose size is fixed, stands ``times`` times in a row."""
    shape = srcs[0].shape
    axis = _axis(shape, attrs["axis"])
    _need(attrs["times"] >= 1, "times must be at least 1")
    return (*shape[:axis], _fixed(shape[axis], "a repeated axis") * attrs["times"], *shape[axis + 1 :]), srcs[0].kind


def window_count(size: int, kernel: int, stride: int, padding: int) -> int:
    """How many windows fit along one axis: ``(size + 2 padding - kernel) // stride + 1``."""
    _need(
        kernel >= 1 and stride >= 1 and padding >= 0,
        "kernel and stride must be positive, padding not negative",
    )
    _need(size + 2 * padding >= kernel, f"a window of {kernel} does not fit {size} with padding {padding}")
    return (size + 2 * padding - kernel) // stride + 1


def _im2col(srcs: tuple[Tensor, ...], attrs: Attrs) -> Result:
    """``x (N, C, H, W)``; windows of ``kernel`` (kh, kw), ``stride`` and ``padding`` give ``(N, windows, C kh kw)``."""
    n, channels, height, width = srcs[0].shape
    (kh, kw), stride, padding = attrs["kernel"], attrs["stride"], attrs["padding"]
    rows = window_count(_fixed(height, "height"), kh, stride, padding)
    columns = window_count(_fixed(width, "width"), kw, stride, padding)
    return (n, rows * columns, _fixed(channels, "channels") * kh * kw), Kind.FLOAT


def _reduce(srcs: tuple[Tensor, ...], attrs: Attrs) -> Result:
    """``x``; ``axis`` stays with size 1."""
    shape = srcs[0].shape
    axis = _axis(shape, attrs["axis"])
    return (*shape[:axis], 1, *shape[axis + 1 :]), srcs[0].kind


def _matmul(srcs: tuple[Tensor, ...], _: Attrs) -> Result:
    """``a (..., m, k)`` and ``b (..., k, n)`` give ``(..., m, n)``; the axes before broadcast."""
    a, b = srcs[0].shape, srcs[1].shape
    _need(len(a) >= 2 and len(b) >= 2, "both need two axes or more")
    _need(a[-1] == b[-2], f"inner sizes {a[-1]} and {b[-2]} differ")
    return (*broadcast(a[:-2], b[:-2]), a[-2], b[-1]), Kind.FLOAT


def _take(srcs: tuple[Tensor, ...], _: Attrs) -> Result:
    """``table (rows, ...)`` and ``ids (...)``, integers; each id becomes its row."""
    table, ids = srcs
    _need(ids.kind is Kind.INT, "ids must be integers")
    return (*ids.shape, *table.shape[1:]), table.kind


def _gather(srcs: tuple[Tensor, ...], _: Attrs) -> Result:
    """``values (N, T, ...)`` and ``rows (N, R)``, integers, give ``(N, R, ...)``."""
    values, rows = srcs
    _need(rows.kind is Kind.INT and len(rows.shape) == 2, "rows must be integers (N, R)")
    _need(values.shape[0] == rows.shape[0], "the first axes differ")
    return (*rows.shape, *values.shape[2:]), values.kind


def _state_read(srcs: tuple[Tensor, ...], attrs: Attrs) -> Result:
    """``state (slots, cells, ...)`` and ``slots (N,)``; the first ``cells`` cells of each: ``(N, cells, ...)``."""
    target, slots = srcs
    _state(target)
    return (*slots.shape, attrs["cells"], *target.shape[2:]), Kind.FLOAT


def _state_write(srcs: tuple[Tensor, ...], _: Attrs) -> Result:
    """``state (slots, cells, ...)``, ``slots (N,)``, ``rows (N, T)`` and ``values (N, T, ...)``.

    The result is the state's next version, with the values in these cells.
    """
    target, slots, rows, values = srcs
    _state(target)
    _need(len(slots.shape) == 1 and len(rows.shape) == 2, "slots must be (N,) and rows (N, T)")
    _need(rows.shape[0] == slots.shape[0], "slots and rows differ in N")
    _need(
        values.shape == (*rows.shape, *target.shape[2:]),
        "values must be (N, T, ...) with the state's cell shape",
    )
    return target.shape, Kind.FLOAT


def _state(target: Tensor) -> None:
    _need(target.op in (Op.STATE, Op.STATE_WRITE), "the first source must be a state or its next version")


def _linear(srcs: tuple[Tensor, ...], attrs: Attrs) -> Result:
    """``x (..., in)``, ``weight (out, in)`` and perhaps ``bias (out,)`` give ``(..., out)``."""
    x, matrix = srcs[:2]
    out, inner = matrix.shape
    _need(x.shape[-1] == inner, f"the input is {x.shape[-1]} wide, the weight expects {inner}")
    if "bias" in attrs["optional"]:
        _need(srcs[2].shape == (out,), f"the bias must be ({out},)")
    return (*x.shape[:-1], out), Kind.FLOAT


def _embedding(srcs: tuple[Tensor, ...], attrs: Attrs) -> Result:
    """``table (vocabulary, width)`` and ``ids (...)``, integers, give ``(..., width)``."""
    _need(len(srcs[0].shape) == 2, "the table must be (vocabulary, width)")
    return _take(srcs, attrs)


def _norm(srcs: tuple[Tensor, ...], _: Attrs) -> Result:
    """``x (..., width)``, perhaps ``weight (width,)``, in ``layer_norm`` also ``bias (width,)``.

    Norms are taken over the last axis; ``eps`` is added to the mean square or the variance.
    """
    x, *parameters = srcs
    for parameter in parameters:
        _need(parameter.shape == x.shape[-1:], f"weight and bias must be ({x.shape[-1]},)")
    return x.shape, Kind.FLOAT


def _rope(srcs: tuple[Tensor, ...], attrs: Attrs) -> Result:
    """``x (N, T, heads, width)``, ``positions (N, T)`` and perhaps ``factors (dims / 2,)`` give the shape of ``x``.

    ``base``, ``dims``, ``pairing``, ``scale`` and ``magnitude`` are those of :class:`ollamax.ml.nn.Rope`.
    """
    x, positions, *factors = srcs
    dims = attrs["dims"]
    _need(
        len(x.shape) == 4 and positions.shape == x.shape[:2],
        "x must be (N, T, heads, width), positions (N, T)",
    )
    _need(
        dims % 2 == 0 and 0 < dims <= _fixed(x.shape[-1], "a head"),
        f"{dims} rotated dims do not fit the head",
    )
    _need(all(f.shape == (dims // 2,) for f in factors), f"factors must be ({dims // 2},)")
    pairing = attrs["pairing"]
    _need(pairing in ("interleaved", "halves"), f"pairing is {pairing!r:.40}, expected 'interleaved' or 'halves'")
    return x.shape, Kind.FLOAT


def _mask(srcs: tuple[Tensor, ...], _: Attrs) -> Result:
    """Positions ``query (N, T)`` and ``key (N, S)`` give bools ``(N, T, S)``.

    ``window`` is how many of the last tokens are seen, the query's own among them; None is all.
    """
    query, key = srcs
    _need(len(query.shape) == 2 and len(key.shape) == 2, "positions must be (N, T) and (N, S)")
    _need(query.shape[0] == key.shape[0], "positions differ in N")
    return (*query.shape, key.shape[1]), Kind.BOOL


def _attention(srcs: tuple[Tensor, ...], attrs: Attrs) -> Result:
    """``q (N, T, heads, width)``, ``k (N, S, groups, width)``, ``v (N, S, groups, value width)``, and more.

    Perhaps ``mask (N, T, S)`` and ``sinks (heads,)``; the result is ``(N, T, heads, value width)``; ``groups`` divides
    ``heads``. Scores are multiplied by ``scale``, then squeezed between ``-softcap`` and ``softcap`` if it is not None.
    """
    q, k, v, *_ = srcs
    extra = dict(zip(attrs["optional"], srcs[3:], strict=True))
    n, t, heads, width = q.shape
    _need(k.shape[:3] == v.shape[:3] and k.shape[0] == n, "keys and values must be (N, S, groups, width)")
    _need(k.shape[3] == width, f"queries are {width} wide, keys {k.shape[3]}")
    groups = _fixed(k.shape[2], "key heads")
    _need(_fixed(heads, "query heads") % groups == 0, f"{heads} query heads do not divide into {groups} groups")
    if "mask" in extra:
        _need(extra["mask"].shape == (n, t, k.shape[1]), f"the mask must be ({n}, {t}, {k.shape[1]})")
    if "sinks" in extra:
        _need(extra["sinks"].shape == (heads,), f"sinks must be ({heads},)")
    return (n, t, heads, v.shape[3]), Kind.FLOAT


def _conv2d(srcs: tuple[Tensor, ...], attrs: Attrs) -> Result:
    """``x (N, in, H, W)``, ``weight (out, in, kh, kw)`` and perhaps ``bias (out,)`` give ``(N, out, H', W')``.

    ``stride`` and ``padding`` are the same along both axes; ``H'`` is ``(H + 2 padding - kh) // stride + 1``.
    """
    x, kernel = srcs[:2]
    n, channels, height, width = x.shape
    out, inner, kh, kw = kernel.shape
    _need(channels == inner, f"the input has {channels} channels, the kernel {inner}")
    stride, padding = attrs["stride"], attrs["padding"]
    rows = window_count(_fixed(height, "height"), _fixed(kh, "kernel"), stride, padding)
    columns = window_count(_fixed(width, "width"), _fixed(kw, "kernel"), stride, padding)
    if "bias" in attrs["optional"]:
        _need(srcs[2].shape == (out,), f"the bias must be ({out},)")
    return (n, out, rows, columns), Kind.FLOAT


RULES: dict[Op, Rule] = {
    **dict.fromkeys(UNARY, _unary),
    **dict.fromkeys(BINARY, _binary),
    **dict.fromkeys(COMPARE, _compare),
    **dict.fromkeys(REDUCE, _reduce),
    Op.WHERE: _where,
    Op.CAST: _cast,
    Op.RESHAPE: _reshape,
    Op.TRANSPOSE: _transpose,
    Op.SLICE: _slice,
    Op.CONCAT: _concat,
    Op.PAD: _pad,
    Op.REPEAT: _repeat,
    Op.IM2COL: _im2col,
    Op.MATMUL: _matmul,
    Op.TAKE: _take,
    Op.GATHER: _gather,
    Op.DEQUANTIZE: _unary,
    Op.STATE_READ: _state_read,
    Op.STATE_WRITE: _state_write,
    Op.LINEAR: _linear,
    Op.EMBEDDING: _embedding,
    **dict.fromkeys((Op.RMS_NORM, Op.LAYER_NORM), _norm),
    **dict.fromkeys((Op.SOFTMAX, Op.SIGMOID, Op.RELU, Op.SILU, Op.GELU), _unary),
    Op.SILU_MUL: _binary,
    Op.ROPE: _rope,
    Op.MASK: _mask,
    Op.ATTENTION: _attention,
    Op.CONV2D: _conv2d,
}
