"""Reads ``talk.txt``: what is said in conversations, and the wordings in which people ask for stories.

A section opens with ``== name``. Its lines are phrases, or pairs of ``Q:`` and ``A:`` lines.
"""

from __future__ import annotations

from pathlib import Path

Turn = tuple[str, str]


def _read(path: Path) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("== "):
            lines = sections.setdefault(line[3:], [])
        elif line:
            lines.append(line)
    return sections


def _pairs(lines: list[str]) -> tuple[Turn, ...]:
    asked = [line.removeprefix("Q: ") for line in lines[::2]]
    answers = [line.removeprefix("A: ") for line in lines[1::2]]
    return tuple(zip(asked, answers, strict=True))


_SECTIONS = _read(Path(__file__).with_name("talk.txt"))
REQUESTS, ANY_STORY, ANOTHER, ACCEPT, OFFERS, SYSTEMS = (
    tuple(_SECTIONS[name]) for name in ("requests", "any_story", "another", "accept", "offers", "systems")
)
COUNTRIES = tuple(_SECTIONS["countries"][0].split(", "))
GREETINGS, ABOUT_ME, CANNOT, CLOSINGS, ABOUT_HERO, ABOUT_FRIEND, ABOUT_ITEM = (
    _pairs(_SECTIONS[name])
    for name in ("greetings", "about_me", "cannot", "closings", "about_hero", "about_friend", "about_item")
)
