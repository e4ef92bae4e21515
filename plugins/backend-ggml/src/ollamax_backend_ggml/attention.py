"""States, and attention over them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy.typing as npt

from ollamax.errors import BackendError
from ollamax.ml import Op, Tensor
from ollamax.ml.tensor import extra_sources
from ollamax.types import DType
from ollamax_backend_ggml.builder import Builder, Value
from ollamax_backend_ggml.elementwise import Emit
from ollamax_backend_ggml.host import RowWriter, check_range, write_mask

Array = npt.NDArray[Any]


def state_write(b: Builder, node: Tensor) -> Value:
    """Rows of all slots, written in place."""
    _, slots, rows, values = node.srcs
    b.indices(slots)
    b.indices(rows)
    state = b.state(node)
    new = b.value(values)
    if not new.tensor:
        return Value(0, ())
    count = new.shape[0] * new.shape[1]
    checked = b.bounded(rows, state.cells) and b.bounded(slots, state.slots)
    writer = RowWriter(state.slots, state.cells, "a cell of a state", checked)
    numbers = b.upload(DType.I64, (count,), writer, rows, slots)
    b.expand(b.make("set_rows", state.rows, b.shaped(new, state.heads * state.width, count), numbers))
    return Value(0, ())


def state_read(b: Builder, node: Tensor) -> Value:
    """A float32 copy of the cells; attention does without."""
    views = _views(b, node)
    parts = [b.make("cast", view, DType.F32) for view in views]
    whole = parts[0]
    for part in parts[1:]:
        whole = b.make("concat", whole, part, 3)
    return b.result(whole, node)


def read_slots(values: Array, state_slots: int) -> tuple[int, ...]:
    """The slots that a read names; raises BackendError for one that does not exist."""
    check_range(values, 0, state_slots, "a slot of a state")
    return tuple(values.tolist())


def _views(b: Builder, node: Tensor) -> list[int]:
    """What a read sees, in place: ``(width, heads, cells, n)``; one view where the slots are evenly spaced."""
    state, slots = b.state(node), read_slots(b.values[node.srcs[1]], b.state(node).slots)
    cells = b.shape(node)[1]
    if cells > state.cells:
        raise BackendError(f"backend ggml: {cells} cells are read of a state with {state.cells}")
    steps = {second - first for first, second in pairwise(slots)}
    if len(steps) <= 1 and min(steps, default=1) > 0:
        return [_view(b, state, slots[0], cells, len(slots), min(steps, default=1))]
    return [_view(b, state, slot, cells, 1, 1) for slot in slots]


def _view(b: Builder, state: Any, slot: int, cells: int, count: int, step: int) -> int:
    head = state.dtype.row_bytes(state.width)
    cell = head * state.heads
    whole = cell * state.cells
    sizes = (state.width, state.heads, cells, count)
    return b.make("view_4d", state.tensor, *sizes, head, cell, whole * step, whole * slot)


def attention(b: Builder, node: Tensor) -> Value:
    """Flash attention: over a state's cells where they lie, otherwise over float32 keys and values."""
    q, extra = b.value(node.srcs[0]), extra_sources(node)
    n, t, heads, width = q.shape
    keys, values = (_cells(b, src) for src in node.srcs[1:3])
    if len(keys) != len(values):
        raise BackendError("backend ggml: keys and values of one attention come from different slots")
    each = n // len(keys)
    queries = b.shaped(q, width, heads, t, n)
    mask = _mask(b, extra["mask"], len(keys)) if "mask" in extra else [None] * len(keys)
    sinks = b.value(extra["sinks"]).tensor if "sinks" in extra else None
    parts = []
    for at, (key, value) in enumerate(zip(keys, values, strict=True)):
        own = b.make("view_4d", queries, width, heads, t, each, *_strides(q.shape, at * each)) if each < n else queries
        parts.append(_flash(b, node, (own, key, value), mask[at], sinks))
    whole = parts[0]
    for part in parts[1:]:
        whole = b.make("concat", whole, part, 3)
    return b.result(whole, node)


def _strides(shape: tuple[int, ...], first: int) -> tuple[int, int, int, int]:
    """Bytes of a head, a token and a sequence of float32 ``(n, t, heads, width)``, and where sequence ``first`` is."""
    _, t, heads, width = shape
    return 4 * width, 4 * width * heads, 4 * width * heads * t, 4 * width * heads * t * first


def _cells(b: Builder, node: Tensor) -> list[int]:
    return _views(b, node) if node.op is Op.STATE_READ else [_whole(b, node)]


def _whole(b: Builder, node: Tensor) -> int:
    value = b.value(node)
    return b.shaped(value, *value.shape[::-1])


def _mask(b: Builder, node: Tensor, parts: int) -> list[int]:
    """The mask as float16 for each part of the sequences."""
    if not b.on_host(node):
        raise BackendError(f"backend ggml takes no mask that is computed of weights, as {node!r}")
    n, t, s = b.shape(node)
    whole = b.upload(DType.F16, (s, t, 1, n), write_mask, node)
    if parts == 1:
        return [whole]
    row = 2 * s
    return [b.make("view_4d", whole, s, t, 1, 1, row, row * t, row * t, row * t * at) for at in range(parts)]


def _flash(b: Builder, node: Tensor, parts: tuple[int, int, int], mask: int | None, sinks: int | None) -> int:
    # The library wants heads outside of tokens.
    moved = [b.make("permute", part, 0, 2, 1, 3) for part in parts]
    result = b.make("flash_attn_ext", *moved, mask, node.attrs["scale"], 0.0, node.attrs["softcap"] or 0.0)
    if sinks is not None:
        b.library.flash_attn_ext_add_sinks(result, sinks)
    return result


EMITTERS: dict[Op, Emit] = {
    Op.STATE_WRITE: state_write,
    Op.STATE_READ: state_read,
    Op.ATTENTION: attention,
}
