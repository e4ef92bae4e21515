"""pytest, which the suites are written for; core does without it."""

from __future__ import annotations

try:
    import pytest
except ImportError as error:
    raise ImportError("ollamax's conformance suites need pytest; try: pip install 'ollamax-core[testing]'") from error

__all__ = ["pytest"]
