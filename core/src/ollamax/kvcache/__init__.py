"""Caches of keys and values."""

from ollamax.kvcache.causal import CausalCache
from ollamax.kvcache.encoder import EncoderCache

__all__ = ["CausalCache", "EncoderCache"]
