"""Which distribution brings a bundled model."""

from __future__ import annotations

from ollamax.cli.command_table import CORE_NAMES


def bringer(name: str) -> str | None:
    """The distribution that brings the model ``name``, or None where no plugin does."""
    from ollamax.engine.resolve import find_bundled
    from ollamax.plugins import get_manager, get_registry

    bundled = find_bundled(name, get_registry())
    if bundled is None:
        return None
    rows = get_manager().report(CORE_NAMES)
    return next(row.distribution for row in rows if bundled.name in row.provides.get("model", ()))
