"""Rewrite a graph for a backend: ops that it does not run are taken apart until only ops that it runs are left."""

from __future__ import annotations

from collections.abc import Collection

from ollamax.errors import GraphError
from ollamax.ml.decompose import DECOMPOSITIONS
from ollamax.ml.graph import Graph, rebuild
from ollamax.ml.ops import LEAVES, Op
from ollamax.ml.tensor import Tensor


def lower(graph: Graph, ops: Collection[Op], backend: str = "the backend") -> Graph:
    """The same graph in terms of ``ops`` and leaves.

    Raises GraphError that names every op which is left over, the backend and the graph.
    """
    runs = frozenset(ops) | LEAVES
    if all(node.op in runs for node in graph.nodes):
        return graph
    change: dict[Tensor, Tensor] = {}
    unknown: set[Op] = set()
    for root in graph.nodes:
        _lower_node(root, runs, change, unknown)
    if unknown:
        names = ", ".join(sorted(unknown))
        raise GraphError(f"{backend} cannot run {graph.name}: it lacks {names}, which have no decomposition")
    return rebuild(graph, change)


def _lower_node(root: Tensor, runs: frozenset[Op], change: dict[Tensor, Tensor], unknown: set[Op]) -> None:
    """Put the lowered form of ``root`` (whose sources are done, or are new) into ``change``."""
    stack = [root]
    while stack:
        node = stack[-1]
        if node in change:
            stack.pop()
            continue
        waiting = [src for src in node.srcs if src not in change]
        if waiting:
            stack.extend(waiting)
            continue
        srcs = tuple(change[src] for src in node.srcs)
        fresh = node if srcs == node.srcs else Tensor(node.op, srcs, node.shape, node.kind, node.attrs)
        if node.op in runs:
            change[node] = fresh
        elif node.op not in DECOMPOSITIONS:
            unknown.add(node.op)
            change[node] = fresh
        else:
            simpler = DECOMPOSITIONS[node.op](fresh)
            # Sources are lowered already; marking them keeps the walk from visiting them again.
            change.update({src: src for src in srcs})
            if simpler in change:
                change[node] = change[simpler]
            else:
                _lower_node(simpler, runs, change, unknown)
                change[node] = change[simpler]
