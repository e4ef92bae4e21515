"""Pieces of a graph: it can be cut where nothing but one value goes on, as between the blocks of a transformer."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from ollamax.ml import Graph, Kind, Op, Tensor
from ollamax.ml.graph import state_name
from ollamax.ml.shape import concrete
from ollamax.ml.tensor import graph_input

TAKEN, GIVEN = "stage.taken", "stage.given"
"""The names of the value that a part takes from the one before, and of that which it gives to the next."""

Key = bytes

_TOUCH = (Op.STATE_READ, Op.STATE_WRITE)
_WORK = frozenset({Op.LINEAR, Op.EMBEDDING, Op.CONV2D, *_TOUCH})


@dataclass(frozen=True)
class _Piece:
    """Nodes from one value (None: from the beginning) to another (None: to the end)."""

    nodes: Sequence[Tensor]
    taken: Tensor | None
    given: Tensor | None


class Pieces:
    """As many pieces of a graph as there are, in order, each with weights or states, which tell it from the others.

    Each node of them is computed in one piece. What follows from inputs and constants alone, such as masks and
    angles, is in none, and part of every graph that needs it.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        works: dict[Tensor, bool] = {}
        for node in graph.nodes:
            works[node] = node.op in _WORK or any(works[src] for src in node.srcs)
        self._everywhere = {node for node, work in works.items() if not work}
        self._pieces = list(self._cut([node for node, work in works.items() if work]))

    def __len__(self) -> int:
        return len(self._pieces)

    def products(self, at: int) -> int:
        """How many weights a piece multiplies with."""
        return sum(math.prod(concrete(one.shape, {})) for one in multiplied(self._pieces[at].nodes))

    @cached_property
    def keys(self) -> list[Key]:
        """For each piece, what is the same where a piece of another graph computes the same."""
        return [_key(self.part(at, at + 1)) for at in range(len(self._pieces))]

    def part(self, begin: int, end: int) -> Graph:
        """The graph of the pieces from ``begin`` to before ``end``."""
        pieces, graph = self._pieces[begin:end], self._graph
        nodes = set(chain.from_iterable(piece.nodes for piece in pieces))
        taken, given = pieces[0].taken, pieces[-1].given
        made: dict[Tensor, Tensor] = {node: node for node in self._everywhere}
        if taken is not None:
            made[taken] = graph_input(TAKEN, taken.shape, taken.kind)
        for node in graph.nodes:
            if node in nodes:
                srcs = tuple(made[src] for src in node.srcs)
                made[node] = node if srcs == node.srcs else Tensor(node.op, srcs, node.shape, node.kind, node.attrs)
        here = nodes if given is not None else nodes | self._everywhere
        outputs = {name: made[node] for name, node in graph.outputs.items() if node in here}
        if given is not None:
            outputs[GIVEN] = made[given]
        writes = [made[node] for node in graph.writes.values() if node in nodes]
        return Graph(outputs, writes, graph.name)

    def _cut(self, nodes: Sequence[Tensor]) -> Iterator[_Piece]:
        begin, taken = 0, None
        for end, given in _cuts(self._graph, nodes):
            if not any(src.op in (Op.WEIGHT, Op.STATE) for node in nodes[begin:end] for src in node.srcs):
                continue
            yield _Piece(nodes[begin:end], taken, given)
            begin, taken = end, given
        yield _Piece(nodes[begin:], taken, None)


def multiplied(nodes: Sequence[Tensor]) -> list[Tensor]:
    """The weights that ``nodes`` multiply with."""
    return [node.srcs[1] for node in nodes if node.op is Op.LINEAR and node.srcs[1].op is Op.WEIGHT]


def _cuts(graph: Graph, nodes: Sequence[Tensor]) -> Iterator[tuple[int, Tensor]]:
    """Where one value goes on, and it; no state is read or written on both sides, for its versions have an order."""
    places = {node: at for at, node in enumerate(nodes)}
    last = {node: max((places[user] for user in graph.users[node]), default=-1) for node in nodes}
    touched = {state_name(node): at for at, node in enumerate(nodes) if node.op in _TOUCH}
    live: list[Tensor] = []
    busy = -1
    for at, node in enumerate(nodes[:-1]):
        live = [value for value in (*live, node) if last[value] > at]
        if node.op in _TOUCH:
            busy = max(busy, touched[state_name(node)])
        if len(live) == 1 and busy <= at and live[0].kind is Kind.FLOAT:
            yield at + 1, live[0]


def _key(graph: Graph) -> Key:
    """Equal for graphs that compute the same from inputs, weights and states of the same names; a digest."""
    places = {node: at for at, node in enumerate(graph.nodes)}
    nodes = (
        (node.op, node.shape, node.kind, _plain(node.attrs), *(places[src] for src in node.srcs))
        for node in graph.nodes
    )
    outputs = ((name, places[node]) for name, node in graph.outputs.items())
    whole = (tuple(nodes), tuple(outputs), tuple(places[node] for node in graph.writes.values()))
    return hashlib.sha256(repr(whole).encode("utf-8", "surrogatepass")).digest()


def _plain(attrs: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Attributes in order, with all elements of arrays, of which ``repr`` leaves some out."""
    return [
        (name, (value.dtype.str, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value)
        for name, value in sorted(attrs.items())
    ]
