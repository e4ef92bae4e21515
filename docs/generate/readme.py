"""What a package's README says of the keys of a GGUF file."""

from __future__ import annotations

import re
from pathlib import Path

_CODE = re.compile(r"`([^`]+)`")
_KEY = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+")


def key_meanings(readme: Path) -> dict[str, str]:
    """Key to meaning, out of the tables with the heads ``key`` and ``meaning``."""
    meanings: dict[str, str] = {}
    within = False
    for line in readme.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells:
            within = False
        elif cells == ["key", "meaning"]:
            within = True
        elif within and len(cells) == 2:
            for key in _CODE.findall(cells[0]):
                if not _KEY.fullmatch(key):
                    raise ValueError(f"{readme}: {key!r} is no key; write each key in full")
                meanings[key] = cells[1].replace("\\|", "|")
    return meanings


def choices(meaning: str) -> list[str]:
    """The values that a meaning names, such as ``linear`` and ``yarn``."""
    return [word for word in _CODE.findall(meaning) if word.isidentifier()]
