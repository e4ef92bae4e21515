"""The sliding window cache: only the tokens that a window still reaches."""

from __future__ import annotations

from ollamax.errors import GraphError
from ollamax.kvcache.base import CacheSize, Layout
from ollamax.kvcache.causal import CausalCache
from ollamax.ml.tensor import Tensor


class WindowCache(CausalCache):
    """A causal cache for layers whose tokens see at most the last ``window``, the query's own among them.

    It has ``window`` cells and those of one step, never more than the context; a step looks at the first ``W`` of
    them. The cells of tokens that fell out of every later window are used again. The room of a step is what keeps a
    whole window before each step, so that the step can be taken back.
    """

    def __init__(
        self,
        layers: int,
        heads: int,
        key_dim: int,
        value_dim: int,
        size: CacheSize,
        window: int,
        *,
        slot_ids: Tensor | None = None,
    ) -> None:
        cells = min(size.cells, window + size.step)
        layout = Layout("window", "W", cells, prefix="window_", window=window)
        super().__init__(layers, heads, key_dim, value_dim, size, slot_ids=slot_ids, layout=layout)
        self._window = window

    def mask(self, positions: Tensor, window: int | None = None) -> Tensor:
        """Which cells tokens at ``positions (N, T)`` may see; GraphError for a window wider than the cache's."""
        if window is None or window > self._window:
            wanted = "no window" if window is None else f"a window of {window}"
            raise GraphError(f"a layer with {wanted} looks at a cache that keeps the last {self._window} tokens")
        return super().mask(positions, window)
