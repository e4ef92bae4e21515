"""Reads the plots: small text files, one a plot, so that a new story needs no Python.

A plot opens with ``key: value`` lines (alternatives separated by `` | ``), then ``---``, then one beat a line.
A beat that opens with ``? `` is a detail that may be left out; an empty line opens a paragraph.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Plot:
    """One way a story can go, as templates."""

    name: str
    beats: tuple[str, ...]
    summary: str
    moral: str
    clauses: tuple[str, ...]
    themes: tuple[str, ...]
    bars: frozenset[str] = frozenset()
    local: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def uses(self, slot: str) -> bool:
        """Whether every telling of this plot mentions `slot`."""
        return any("{" + slot + "}" in _certain(beat) for beat in self.beats if not beat.startswith("? "))


def _certain(beat: str) -> str:
    """Return what is left of a beat without its alternatives."""
    depth, kept = 0, ""
    for letter in beat:
        depth += (letter == "[") - (letter == "]")
        kept += "" if depth else letter
    return kept


def _values(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(" | ") if part.strip())


def parse(name: str, text: str) -> Plot:
    """Read one plot file."""
    head, _, body = text.partition("\n---\n")
    keys = dict(line.split(": ", 1) for line in head.splitlines() if line.strip())
    return Plot(
        name=name,
        beats=tuple(line.strip() for line in body.strip().splitlines()),
        summary=keys.pop("summary"),
        moral=keys.pop("moral"),
        clauses=_values(keys.pop("clause")),
        themes=_values(keys.pop("theme")),
        bars=frozenset(keys.pop("bars", "").split()),
        local={key.removeprefix("let "): _values(value) for key, value in keys.items()},
    )


@cache
def plots() -> tuple[Plot, ...]:
    """Return all plots, in the order of their names."""
    return tuple(parse(path.stem, path.read_text("utf-8")) for path in sorted((HERE / "plots").glob("*.txt")))


@cache
def openings() -> tuple[str, ...]:
    """Return the ways a story may begin."""
    return tuple((HERE / "openings.txt").read_text("utf-8").strip().splitlines())
