"""The causal cache as a model sees it while it is traced: keys and values of every layer, kept between steps."""

from __future__ import annotations

from collections.abc import Callable

from ollamax.ml import nn
from ollamax.ml.graph import Graph
from ollamax.ml.tensor import Tensor, graph_input, state, state_read, state_write

Shift = Callable[[int, Tensor, Tensor], Tensor]


class CausalCache:
    """Keys ``(slots, cells, heads, key_dim)`` and values ``(slots, cells, heads, value_dim)`` for each layer.

    A step runs on ``N`` slots with ``T`` new tokens each and looks at the first ``S`` cells.
    """

    def __init__(self, layers: int, heads: int, key_dim: int, value_dim: int, slots: int, cells: int) -> None:
        self.slots, self.cells, self.layers = slots, cells, layers
        self._keys = [state(f"cache.{layer}.key", (slots, cells, heads, key_dim)) for layer in range(layers)]
        self._values = [state(f"cache.{layer}.value", (slots, cells, heads, value_dim)) for layer in range(layers)]
        self._slot_ids = graph_input("slots", ("N",), bound=slots)
        self._rows = graph_input("rows", ("N", "T"), bound="S")
        self._key_positions = graph_input("key_positions", ("N", "S"))
        self._masks: dict[int | None, Tensor] = {}

    def put(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Store a layer's new keys and values ``(N, T, heads, dim)``; returns all of ``(N, S, heads, dim)``."""
        stored = [
            state_write(held, self._slot_ids, self._rows, new)
            for held, new in ((self._keys[layer], key), (self._values[layer], value))
        ]
        return state_read(stored[0], self._slot_ids), state_read(stored[1], self._slot_ids)

    def mask(self, positions: Tensor, window: int | None = None) -> Tensor:
        """Which cells tokens at ``positions (N, T)`` may see; one node serves all layers with the same window."""
        if window not in self._masks:
            self._masks[window] = nn.causal_mask(positions, self._key_positions, window)
        return self._masks[window]

    def shift_graph(self, shift: Shift) -> Graph:
        """A graph that turns the keys of ``N`` slots: input ``delta (N, S)`` is the change of each cell's position."""
        slots = graph_input("slots", ("N",), bound=self.slots)
        rows = graph_input("rows", ("N", "S"), bound="S")
        delta = graph_input("delta", ("N", "S"))
        writes = []
        for layer, held in enumerate(self._keys):
            turned = shift(layer, state_read(held, slots), delta)
            writes.append(state_write(held, slots, rows, turned))
        return Graph({}, writes, name="shift")
