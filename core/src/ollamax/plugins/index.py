"""The shipped index: which distribution provides an architecture, a checkpoint or a backend that is not installed."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Literal

Section = Literal["architectures", "checkpoints", "backends"]


@cache
def _index() -> dict[str, dict[str, str]]:
    index: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("index.json").read_text("utf-8"))
    return index


def provider(section: Section, name: str) -> str | None:
    """The distribution that provides ``name``, or None where the index does not know it."""
    return _index()[section].get(name)


@cache
def distributions() -> frozenset[str]:
    """Every distribution in the index."""
    return frozenset(name for section in _index().values() for name in section.values())
