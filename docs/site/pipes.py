"""Pipes within code within tables: GitHub wants a backslash before them, Python-Markdown shows it."""

from __future__ import annotations

import re
from typing import Any

_CODE = re.compile(r"`[^`]+`")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Take the backslashes away."""
    lines = (_bare(line) if line.startswith("|") else line for line in markdown.split("\n"))
    return "\n".join(lines)


def _bare(line: str) -> str:
    return _CODE.sub(lambda found: found[0].replace("\\|", "|"), line)
