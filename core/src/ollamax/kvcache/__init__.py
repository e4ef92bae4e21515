"""Caches of keys and values."""

from ollamax.kvcache.causal import CausalCache

__all__ = ["CausalCache"]
