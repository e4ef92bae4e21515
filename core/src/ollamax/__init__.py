"""Run language models locally from pip-installable parts.

The names below are the library's front door; everything behind them is imported on first use, so that
``import ollamax`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["OllamaxError", "__version__", "load", "load_tokenizer"]

if TYPE_CHECKING:
    from ollamax.engine.load import load, load_tokenizer
    from ollamax.errors import OllamaxError

_HOMES = {
    "OllamaxError": "ollamax.errors",
    "load": "ollamax.engine.load",
    "load_tokenizer": "ollamax.engine.load",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ollamax' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
