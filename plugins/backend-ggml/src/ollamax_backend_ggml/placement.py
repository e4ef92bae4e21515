"""Which blocks of a model lie in the memory of a graphics processor."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ollamax.errors import BackendError
from ollamax.ml import Graph, Op, Tensor

_BLOCK = re.compile(r"blk\.(\d{1,6})\.")

_RESERVE = 256 << 20
"""Bytes of a graphics processor's memory that are left to steps and to others."""


class Placement:
    """The last ``layers`` blocks with their states, and one layer more is what follows them.

    ``weights`` and ``states`` are the names of those that the graphics processor holds.
    """

    def __init__(self, graph: Graph, layers: int) -> None:
        blocks = {name: block for name in graph.weights if (block := _block(name)) is not None}
        count = 1 + max(blocks.values(), default=-1)
        first = count - layers
        self.layers = min(layers, count + 1)
        self.weights = frozenset(
            name
            for name, node in graph.weights.items()
            if (blocks[name] >= first if name in blocks else first < 0 and not _looked_up(graph, node))
        )
        own = {name: _block_of(node) for name, node in graph.writes.items()}
        self.states = frozenset(
            name for name, block in own.items() if (block >= first if block is not None else first < 0)
        )

    def needed(self, weights: Mapping[str, int], states: Mapping[str, int]) -> int:
        """Bytes of the device's memory, given those of each weight and state."""
        return sum(weights[name] for name in self.weights) + sum(states[name] for name in self.states)


def place(
    graph: Graph, layers: int | None, free: int, weights: Mapping[str, int], states: Mapping[str, int]
) -> Placement:
    """As many ``layers`` as asked for, or as fit into ``free`` bytes; raises BackendError with the figures."""
    limit = max(free - _RESERVE, 0)
    if layers is not None:
        chosen = Placement(graph, layers)
        needed = chosen.needed(weights, states)
        if needed > limit:
            raise BackendError(
                f"backend ggml: {chosen.layers} layers need {needed / 1e6:,.0f} MB of the graphics processor's memory "
                f"and {limit / 1e6:,.0f} MB are free; take a smaller num_gpu or num_ctx"
            )
        return chosen
    chosen = Placement(graph, 0)
    while True:
        more = Placement(graph, chosen.layers + 1)
        if more.layers == chosen.layers or more.needed(weights, states) > limit:
            return chosen
        chosen = more


def _block(name: str) -> int | None:
    found = _BLOCK.match(name)
    return int(found[1]) if found else None


def _looked_up(graph: Graph, node: Tensor) -> bool:
    """Whether rows of a table are all that is wanted of it; the processor reads them where they lie."""
    return all(user.op in (Op.EMBEDDING, Op.TAKE) for user in graph.users[node])


def _block_of(write: Tensor) -> int | None:
    """The block whose weights made what a state is given."""
    seen: set[Tensor] = set()
    line = [write.srcs[3]]
    while line:
        node = line.pop(0)
        if node in seen:
            continue
        seen.add(node)
        found = _block(node.attrs["name"]) if node.op is Op.WEIGHT else None
        if found is not None:
            return found
        line += node.srcs
    return None
