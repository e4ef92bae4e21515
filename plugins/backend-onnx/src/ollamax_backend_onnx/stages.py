"""Stages: a graph as several sessions, for what it shares with others, and for a load that is quick and small.

The runtime packs the weights of a session for that session alone; a model that sees pictures has two graphs of a step
with the same weights, and would hold them twice. And it packs them one after another, so that sessions of some layers
each, made at the same time, are there sooner.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations, pairwise

from ollamax.ml import Graph
from ollamax_backend_onnx.pieces import Key, Pieces, multiplied

_LARGE, _MOST = 1 << 29, 4
"""The weights that are worth a session of their own, which takes some of each step, and the most sessions."""


@dataclass(frozen=True)
class Stage:
    """A part of a graph; ``key`` is the same for equal parts of other graphs."""

    graph: Graph
    key: Hashable


class Stages:
    """Cuts graphs, where what those that are going to be built have in common begins and ends, and into even parts.

    Two pieces stay together if each follows the other wherever one of them is, and not too much comes before them.
    Where no two graphs multiply with the same weights, nothing is cut for what they share.
    """

    def __init__(self, graphs: Sequence[Graph] = ()) -> None:
        self._before: dict[Key, set[Key | None]] = defaultdict(set)
        self._after: dict[Key, set[Key | None]] = defaultdict(set)
        used = [{node.attrs["name"] for node in multiplied(graph.nodes)} for graph in graphs]
        if any(one & other for one, other in combinations(used, 2)):
            for graph in graphs:
                keys = Pieces(graph).keys
                for at, key in enumerate(keys):
                    self._before[key].add(keys[at - 1] if at else None)
                    self._after[key].add(keys[at + 1] if at + 1 < len(keys) else None)

    def of(self, graph: Graph) -> list[Stage]:
        """What runs one after another; the graph itself where it is not cut."""
        pieces = Pieces(graph)
        shared = bool(self._before) and all(key in self._before for key in pieces.keys)
        begins = self._begins(pieces.keys) if shared else [0]
        ends = [*begins[1:], len(pieces)]
        begins = [at for begin, end in zip(begins, ends, strict=True) for at in _even(pieces, begin, end)]
        if begins == [0]:
            return [Stage(graph, tuple(pieces.keys) if shared else graph)]
        parts = [(begin, end, pieces.part(begin, end)) for begin, end in pairwise([*begins, len(pieces)])]
        return [Stage(part, tuple(pieces.keys[begin:end]) if shared else part) for begin, end, part in parts]

    def _begins(self, keys: Sequence[Key]) -> list[int]:
        return [at for at in range(len(keys)) if not at or not self._together(keys[at - 1], keys[at])]

    def _together(self, one: Key, other: Key) -> bool:
        return self._after[one] == {other} and self._before[other] == {one}


def _even(pieces: Pieces, begin: int, end: int) -> list[int]:
    """Where parts of about as many weights each begin, among pieces from ``begin`` to before ``end``."""
    sizes = [pieces.products(at) for at in range(begin, end)]
    parts = min(_MOST, sum(sizes) // _LARGE) or 1
    middles = [after - size / 2 for after, size in zip(accumulate(sizes), sizes, strict=True)]
    places = [min(parts - 1, int(middle * parts / (sum(sizes) or 1))) for middle in middles]
    return [begin + at for at, place in enumerate(places) if not at or place != places[at - 1]]
