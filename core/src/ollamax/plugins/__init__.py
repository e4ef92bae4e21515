"""Finds the installed plugins, loads each apart from the others, and answers what they provide."""

from __future__ import annotations

import pluggy

from ollamax.plugins.bundled import BundledModel

__all__ = ["BundledModel", "hookimpl"]

hookimpl = pluggy.HookimplMarker("ollamax")
