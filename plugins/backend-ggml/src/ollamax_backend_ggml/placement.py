"""Which blocks of a model lie in the memory of a graphics processor."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ollamax.errors import BackendError
from ollamax.ml import Graph, Op, Tensor

_BLOCK = re.compile(r"blk\.(\d{1,6})\.")

_MOST_LAYERS = 1 << 30

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


@dataclass(frozen=True)
class Room:
    """``free`` bytes of a device's memory; what each weight and state of a model takes of it.

    ``undivided`` models lie there as a whole, or not at all.
    """

    free: int
    weights: Mapping[str, int]
    states: Mapping[str, int]
    undivided: bool = False

    def holds(self, placement: Placement) -> bool:
        """Whether there is room for it."""
        return placement.needed(self.weights, self.states) <= self.limit

    @property
    def limit(self) -> int:
        """The most bytes that a model may take."""
        return max(self.free - _RESERVE, 0)


def place(graph: Graph, layers: int | None, room: Room) -> Placement:
    """As many ``layers`` as asked for, or as fit; raises BackendError with the figures."""
    whole = Placement(graph, _MOST_LAYERS)
    if layers is not None:
        chosen = Placement(graph, layers)
        if room.undivided and 0 < chosen.layers < whole.layers:
            raise BackendError(
                "backend ggml: a model that sees pictures is not split between processors; give num_gpu 0, or "
                f"{whole.layers} for all of it"
            )
        if not room.holds(chosen):
            needed = chosen.needed(room.weights, room.states)
            raise BackendError(
                f"backend ggml: {chosen.layers} layers need {needed / 1e6:,.0f} MB of the graphics processor's memory "
                f"and {room.limit / 1e6:,.0f} MB are free; take a smaller num_gpu or num_ctx"
            )
        return chosen
    counts = (0, whole.layers) if room.undivided else range(whole.layers + 1)
    fitting = [placement for count in counts if room.holds(placement := Placement(graph, count))]
    return fitting[-1]


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
