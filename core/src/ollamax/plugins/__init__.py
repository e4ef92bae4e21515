"""Finds the installed plugins, loads each apart from the others, and answers what they provide."""

from __future__ import annotations

import pluggy

from ollamax.plugins.bundled import BundledModel
from ollamax.plugins.manager import get_manager, get_registry
from ollamax.plugins.registry import Registry

__all__ = ["BundledModel", "Registry", "get_manager", "get_registry", "hookimpl"]

hookimpl = pluggy.HookimplMarker("ollamax")
