"""Compute only the rows that are asked for: what happens to rows one by one happens after they are gathered.

A step ends with ``gather(hidden, outputs)``, most often of one row of hundreds. The block before it works on every row
by itself, except where keys and values are kept; so its queries, its output and its whole feed-forward part are needed
for those rows only. In a prompt that saves most of one layer.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

from ollamax.ml.graph import Graph, rebuild
from ollamax.ml.ops import BINARY, COMPARE, REDUCE, UNARY, Op
from ollamax.ml.tensor import Tensor, extra_sources, gather

Carriers = tuple[int, ...]
"""Which sources carry the rows of a node that treats each row by itself; none where it does not."""


def narrow(graph: Graph) -> Graph:
    """The same outputs and states, with each ``gather`` of rows as early in the graph as that saves work."""
    for last in graph.nodes:
        alone = _only_for(graph, last) if last.op is Op.GATHER and len(last.srcs[0].shape) > 2 else {}
        if alone:
            return narrow(_replaced(graph, last, _gathered_early(graph, last, alone)))
    return graph


def _gathered_early(graph: Graph, last: Tensor, alone: dict[Tensor, Carriers]) -> Tensor:
    """What replaces ``last``: the nodes in ``alone`` once more, on the rows that it gathers."""
    rows = last.srcs[1]
    few: dict[Tensor, Tensor] = {}
    for node in graph.nodes:
        for at in alone.get(node, ()):
            if node.srcs[at] not in few:
                few[node.srcs[at]] = gather(node.srcs[at], rows)
        if node in alone:
            srcs = tuple(few[src] if at in alone[node] else src for at, src in enumerate(node.srcs))
            shape = (*rows.shape, *node.shape[2:])
            attrs = {**node.attrs, "shape": shape} if node.op is Op.RESHAPE else node.attrs
            few[node] = Tensor(node.op, srcs, shape, node.kind, MappingProxyType(dict(attrs)))
    return few[last.srcs[0]]


def _replaced(graph: Graph, last: Tensor, early: Tensor) -> Graph:
    change = {last: early}
    for node in graph.nodes:
        srcs = tuple(change.get(src, src) for src in node.srcs)
        if node is not last:
            change[node] = node if srcs == node.srcs else Tensor(node.op, srcs, node.shape, node.kind, node.attrs)
    return rebuild(graph, change)


def _only_for(graph: Graph, last: Tensor) -> dict[Tensor, Carriers]:
    """The nodes whose rows nobody but ``last`` wants, each with the sources that carry them."""
    wanted = {*graph.outputs.values(), *graph.writes.values()}
    alone: dict[Tensor, Carriers] = {}
    for node in reversed(graph.nodes):
        users = graph.users[node]
        if node in wanted or not users or not all(_reads_rows(user, node, last, alone) for user in users):
            continue
        carriers = _carriers(node)
        if carriers:
            alone[node] = carriers
    return alone


def _reads_rows(user: Tensor, node: Tensor, last: Tensor, alone: dict[Tensor, Carriers]) -> bool:
    """Whether ``user`` reads nothing of ``node`` but the rows that it works on."""
    places = [at for at, src in enumerate(user.srcs) if src is node]
    return places == [0] if user is last else user in alone and set(places) <= set(alone[user])


def _carriers(node: Tensor) -> Carriers:
    rule = _RULES.get(node.op)
    return rule(node) if rule and len(node.shape) >= 2 else ()


def _elementwise(node: Tensor) -> Carriers:
    """Operands as long as the result carry its rows; those of one row, or of none, serve all rows."""
    found = []
    for at, src in enumerate(node.srcs):
        if src.shape[:2] == node.shape[:2] and len(src.shape) == len(node.shape):
            found.append(at)
        elif len(src.shape) >= len(node.shape) - 1 and src.shape[len(src.shape) - len(node.shape) + 1] != 1:
            return ()
    return tuple(found)


def _along_axis(node: Tensor) -> Carriers:
    """Ops along an axis behind the rows."""
    inside = node.attrs["axis"] % len(node.srcs[0].shape) >= 2
    return tuple(range(len(node.srcs))) if inside else ()


def _last_axis(node: Tensor) -> Carriers:
    """Ops on each row's elements; weights are no rows."""
    return (0,) if len(node.shape) > 2 else ()


def _reshape(node: Tensor) -> Carriers:
    return (0,) if node.srcs[0].shape[:2] == node.shape[:2] else ()


def _transpose(node: Tensor) -> Carriers:
    return (0,) if node.attrs["axes"][:2] == (0, 1) else ()


def _attention(node: Tensor) -> Carriers:
    """Queries and their masks."""
    extra = extra_sources(node)
    return (0, node.srcs.index(extra["mask"])) if "mask" in extra else (0,)


def _always(*sources: int) -> Callable[[Tensor], Carriers]:
    return lambda node: sources if len(node.srcs[sources[0]].shape) >= 2 else ()


_RULES: dict[Op, Callable[[Tensor], Carriers]] = {
    **dict.fromkeys((*UNARY, *BINARY, *COMPARE, Op.WHERE, Op.CAST), _elementwise),
    **dict.fromkeys((Op.SIGMOID, Op.RELU, Op.SILU, Op.GELU, Op.SILU_MUL), _elementwise),
    **dict.fromkeys((Op.LINEAR, Op.RMS_NORM, Op.LAYER_NORM, Op.SOFTMAX), _last_axis),
    **dict.fromkeys((*REDUCE, Op.SLICE, Op.CONCAT, Op.PAD, Op.REPEAT), _along_axis),
    **dict.fromkeys((Op.EMBEDDING, Op.TAKE), _always(1)),
    Op.RESHAPE: _reshape,
    Op.TRANSPOSE: _transpose,
    Op.ROPE: _always(0, 1),
    Op.MASK: _always(0),
    Op.ATTENTION: _attention,
}
