"""Caches of keys and values."""

from ollamax.kvcache.base import Cache, CacheSize, Layout
from ollamax.kvcache.causal import CausalCache
from ollamax.kvcache.encoder import EncoderCache
from ollamax.kvcache.hybrid import HybridCache
from ollamax.kvcache.window import WindowCache

__all__ = ["Cache", "CacheSize", "CausalCache", "EncoderCache", "HybridCache", "Layout", "WindowCache"]
