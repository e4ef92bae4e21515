"""How names from a file stand in messages."""

from __future__ import annotations


def shown(name: str) -> str:
    """``name`` quoted for a message: on one line, and cut if it is absurdly long."""
    return repr(name) if len(name) <= 100 else f"{name[:100]!r}..."
