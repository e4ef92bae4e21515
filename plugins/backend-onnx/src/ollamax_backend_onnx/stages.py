"""Stages: what several graphs have in common, so that one session runs it for all of their programs.

The runtime packs the weights of a session for that session alone; a model that sees pictures has two graphs of a step
with the same weights, and would hold them twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from ollamax.ml import Graph, Op
from ollamax_backend_onnx.pieces import Key, Pieces

Run = tuple[Key, ...]


@dataclass(frozen=True)
class Stage:
    """A part of a graph; ``run`` is the same for equal parts of other graphs, None for a graph that is not cut."""

    graph: Graph
    run: Run | None


class Stages:
    """Cuts ``graphs``, which are going to be built, where what they have in common begins and ends.

    Two pieces stay together if each follows the other wherever one of them is. Where no two graphs multiply with the
    same weights, nothing is cut.
    """

    def __init__(self, graphs: Sequence[Graph] = ()) -> None:
        self._before: dict[Key, set[Key | None]] = defaultdict(set)
        self._after: dict[Key, set[Key | None]] = defaultdict(set)
        if any(_products(one) & _products(other) for one, other in combinations(graphs, 2)):
            for graph in graphs:
                keys = Pieces(graph).keys
                for at, key in enumerate(keys):
                    self._before[key].add(keys[at - 1] if at else None)
                    self._after[key].add(keys[at + 1] if at + 1 < len(keys) else None)

    def of(self, graph: Graph) -> list[Stage]:
        """What runs one after another; the graph itself where it is not cut, or was not among the graphs."""
        if not self._before:
            return [Stage(graph, None)]
        pieces = Pieces(graph)
        keys = pieces.keys
        if not all(key in self._before for key in keys):
            return [Stage(graph, None)]
        begins = [at for at in range(len(keys)) if not at or not self._together(keys[at - 1], keys[at])]
        ends = [*begins[1:], len(keys)]
        return [Stage(pieces.part(begin, end), tuple(keys[begin:end])) for begin, end in zip(begins, ends, strict=True)]

    def _together(self, one: Key, other: Key) -> bool:
        return self._after[one] == {other} and self._before[other] == {one}


def _products(graph: Graph) -> frozenset[str]:
    """The weights that a graph multiplies with."""
    weights = (node.srcs[1] for node in graph.nodes if node.op is Op.LINEAR)
    return frozenset(one.attrs["name"] for one in weights if one.op is Op.WEIGHT)
