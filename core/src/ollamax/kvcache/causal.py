"""The causal cache: keys and values of every token, kept between steps."""

from __future__ import annotations

from collections.abc import Sequence

from ollamax.kvcache.base import Cache, CacheSize, Layout, Shift
from ollamax.ml import nn
from ollamax.ml.tensor import Tensor, graph_input, state, state_read, state_write


class CausalCache(Cache):
    """Keys ``(slots, cells, heads, key_dim)`` and values ``(slots, cells, heads, value_dim)`` for each layer.

    A step runs on ``N`` slots with ``T`` new tokens each and looks at the first ``S`` cells. ``slot_ids`` is given by a
    wrapper whose caches share it; ``layout`` by a subclass that keeps less.
    """

    def __init__(
        self,
        layers: int,
        heads: int,
        key_dim: int,
        value_dim: int,
        size: CacheSize,
        *,
        slot_ids: Tensor | None = None,
        layout: Layout | None = None,
    ) -> None:
        self.layout = layout or Layout("cache", "S", size.cells)
        name, dim, shape = self.layout.name, self.layout.dim, (size.slots, self.layout.cells, heads)
        self._keys = [state(f"{name}.{layer}.key", (*shape, key_dim)) for layer in range(layers)]
        self._values = [state(f"{name}.{layer}.value", (*shape, value_dim)) for layer in range(layers)]
        self._slot_ids = size.slot_ids() if slot_ids is None else slot_ids
        self._rows = graph_input(f"{self.layout.prefix}rows", ("N", "T"), bound=dim)
        self._key_positions = graph_input(f"{self.layout.prefix}key_positions", ("N", dim))
        self._masks: dict[int | None, Tensor] = {}

    @property
    def layouts(self) -> Sequence[Layout]:
        """Its one layout."""
        return (self.layout,)

    def put(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Store a layer's new keys and values ``(N, T, heads, dim)``; returns all of ``(N, S, heads, dim)``."""
        held = (self._keys[layer], key), (self._values[layer], value)
        stored = [state_write(old, self._slot_ids, self._rows, new) for old, new in held]
        return self._read(stored[0]), self._read(stored[1])

    def mask(self, positions: Tensor, window: int | None = None) -> Tensor:
        """Which cells tokens at ``positions (N, T)`` may see; one node serves all layers with the same window."""
        if window not in self._masks:
            self._masks[window] = nn.causal_mask(positions, self._key_positions, window)
        return self._masks[window]

    def shift_writes(self, shift: Shift) -> list[Tensor]:
        """Keys turned by the input ``delta (N, S)``."""
        dim, prefix = self.layout.dim, self.layout.prefix
        rows = graph_input(f"{prefix}rows", ("N", dim), bound=dim)
        delta = graph_input(f"{prefix}delta", ("N", dim))
        return [
            state_write(held, self._slot_ids, rows, shift(layer, self._read(held), delta))
            for layer, held in enumerate(self._keys)
        ]

    def _read(self, held: Tensor) -> Tensor:
        return state_read(held, self._slot_ids, self.layout.dim)
