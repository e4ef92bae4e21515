"""Ops that move elements, and reductions over one axis."""

from __future__ import annotations

from ollamax.ml import Op, Tensor
from ollamax_backend_ggml.builder import Builder, Value
from ollamax_backend_ggml.elementwise import Emit, greatest
from ollamax_backend_ggml.sizes import AXES, around, fast_first, merged_order


def reshape(b: Builder, node: Tensor) -> Value:
    """Nothing moves: the next op gives the sizes that it wants."""
    return b.result(b.value(node.srcs[0]).tensor, node)


def transpose(b: Builder, node: Tensor) -> Value:
    """A copy in the new order, unless only axes of size 1 change places."""
    x = b.value(node.srcs[0])
    return b.result(reordered(b, x, node.attrs["axes"]), node)


def reordered(b: Builder, x: Value, axes: tuple[int, ...]) -> int:
    """A contiguous tensor with the row-major axes of ``x`` in the order ``axes``."""
    sizes, order = merged_order(x.shape, axes)
    rank = len(sizes)
    if rank > AXES:
        return _one_by_one(b, Value(x.tensor, sizes), order)
    if order == tuple(range(rank)):
        return x.tensor
    # Where each axis of the library (fastest first) goes to.
    target = [rank - 1 - order.index(rank - 1 - axis) for axis in range(rank)]
    moved = b.make("permute", b.shaped(x, *fast_first(sizes)), *target, *range(rank, AXES))
    return b.make("cont", moved)


def _one_by_one(b: Builder, x: Value, order: tuple[int, ...]) -> int:
    """A transposition of many axes: the last is brought to the front, then the one before it."""
    places = list(range(len(order)))
    for axis in reversed(order):
        at = places.index(axis)
        front = (at, *(other for other in range(len(order)) if other != at))
        x = Value(reordered(b, x, front), tuple(x.shape[place] for place in front))
        places = [places[place] for place in front]
    return x.tensor


def piece(b: Builder, node: Tensor) -> Value:
    """A view, copied where it is not in one piece."""
    x, start = b.value(node.srcs[0]), node.attrs["start"]
    inner, size, outer = around(x.shape, node.attrs["axis"])
    kept = node.attrs["stop"] - start
    whole = b.shaped(x, inner, size, outer)
    row = 4 * inner
    view = b.make("view_3d", whole, inner, kept, outer, row, row * size, row * start)
    return b.result(view if outer == 1 or kept == size else b.make("cont", view), node)


def concat(b: Builder, node: Tensor) -> Value:
    """Two at a time, the smaller sums first."""
    axis = node.attrs["axis"]
    parts = [value for value in map(b.value, node.srcs) if value.tensor]
    line = [(b.shaped(part, *around(part.shape, axis)), around(part.shape, axis)[1]) for part in parts]
    while len(line) > 1:
        paired = [
            (b.make("concat", line[at][0], line[at + 1][0], 1), line[at][1] + line[at + 1][1])
            for at in range(0, len(line) - 1, 2)
        ]
        line = paired + line[len(line) - len(line) % 2 :]
    return b.result(line[0][0], node)


def pad(b: Builder, node: Tensor) -> Value:
    """Zeros around one axis."""
    x = b.value(node.srcs[0])
    sizes = around(x.shape, node.attrs["axis"])
    before, after = node.attrs["before"], node.attrs["after"]
    return b.result(b.make("pad_ext", b.shaped(x, *sizes), 0, 0, before, after, 0, 0, 0, 0), node)


def repeat(b: Builder, node: Tensor) -> Value:
    """Each element several times in a row."""
    x, times = b.value(node.srcs[0]), node.attrs["times"]
    inner, size, outer = around(x.shape, node.attrs["axis"])
    return b.result(b.make("repeat_4d", b.shaped(x, inner, 1, size, outer), inner, times, size, outer), node)


def reduce(operation: str) -> Emit:
    """Over the fastest axis; another one is brought there."""

    def emit(b: Builder, node: Tensor) -> Value:
        x = b.value(node.srcs[0])
        inner, size, outer = around(x.shape, node.attrs["axis"])
        moved = reordered(b, Value(x.tensor, (outer, size, inner)), (0, 2, 1))
        rows = b.reshaped(moved, size, inner * outer)
        if operation == "max":
            return b.result(greatest(b, rows, size, inner * outer), node)
        return b.result(b.make(operation, rows), node)

    return emit


def softmax(b: Builder, node: Tensor) -> Value:
    """Over the last axis."""
    return b.result(b.make("soft_max", b.flat(b.value(node.srcs[0]))), node)


def im2col(b: Builder, node: Tensor) -> Value:
    """The library's op; it looks at the kernel's sizes only."""
    (kh, kw), stride, padding = node.attrs["kernel"], node.attrs["stride"], node.attrs["padding"]
    x = b.value(node.srcs[0])
    kernel = b.make("new_tensor_4d", 0, kw, kh, x.shape[1], 1)
    image = b.shaped(x, *fast_first(x.shape))
    return b.result(b.make("im2col", kernel, image, stride, stride, padding, padding, 1, 1, True, 0), node)


EMITTERS: dict[Op, Emit] = {
    Op.RESHAPE: reshape,
    Op.TRANSPOSE: transpose,
    Op.SLICE: piece,
    Op.CONCAT: concat,
    Op.PAD: pad,
    Op.REPEAT: repeat,
    Op.IM2COL: im2col,
    Op.SUM: reduce("sum_rows"),
    Op.MEAN: reduce("mean"),
    Op.MAX: reduce("max"),
    Op.SOFTMAX: softmax,
}
