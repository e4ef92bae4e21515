"""A wrapper of several caches, for models in which some layers see all tokens and others only a window."""

from __future__ import annotations

from collections.abc import Sequence

from ollamax.errors import GraphError
from ollamax.kvcache.base import Cache, CacheSize, Layout, Shift
from ollamax.kvcache.causal import CausalCache
from ollamax.kvcache.window import WindowCache
from ollamax.ml.tensor import Tensor


class HybridCache(Cache):
    """One cache for all layers: ``windows`` says how many tokens each sees, the query's own among them; None is all.

    Layers without a window share a :class:`CausalCache`, those with one a :class:`WindowCache` for the widest of them.
    Where all layers are of one kind there is only that cache.
    """

    def __init__(
        self, windows: Sequence[int | None], heads: int, key_dim: int, value_dim: int, size: CacheSize
    ) -> None:
        slot_ids, widths = size.slot_ids(), [window for window in windows if window is not None]
        self._windows = list(windows)
        self._members: dict[bool, tuple[CausalCache, list[int]]] = {}  # by whether a layer has a window
        if len(widths) < len(windows):
            layers = [layer for layer, window in enumerate(windows) if window is None]
            full = CausalCache(len(layers), heads, key_dim, value_dim, size, slot_ids=slot_ids)
            self._members[False] = full, layers
        if widths:
            layers = [layer for layer, window in enumerate(windows) if window is not None]
            cut = WindowCache(len(layers), heads, key_dim, value_dim, size, max(widths), slot_ids=slot_ids)
            self._members[True] = cut, layers

    @property
    def layouts(self) -> Sequence[Layout]:
        """One for each cache."""
        return [cache.layout for cache, _ in self._members.values()]

    def put(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Store a layer's new keys and values in the cache of its kind; returns those of all cells looked at."""
        cache, layers = self._members[self._windows[layer] is not None]
        return cache.put(layers.index(layer), key, value)

    def mask(self, positions: Tensor, window: int | None = None) -> Tensor:
        """Which cells of the cache for layers with that window tokens at ``positions (N, T)`` may see."""
        if (window is not None) not in self._members:
            raise GraphError(f"no layer has the window {window}; the cache was made for {self._windows}")
        return self._members[window is not None][0].mask(positions, window)

    def shift_writes(self, shift: Shift) -> list[Tensor]:
        """Those of every cache; ``shift`` is asked with the layer's number in the model."""
        return [
            write
            for cache, layers in self._members.values()
            for write in cache.shift_writes(_renumbered(shift, layers))
        ]


def _renumbered(shift: Shift, layers: Sequence[int]) -> Shift:
    return lambda layer, key, delta: shift(layers[layer], key, delta)
