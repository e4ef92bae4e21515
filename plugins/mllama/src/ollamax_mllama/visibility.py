"""Which tokens of a prompt see which picture: the rules of transformers' ``MllamaProcessor``."""

from __future__ import annotations

from collections.abc import Sequence


def spans(places: Sequence[int]) -> list[tuple[int, int | None]]:
    """From which to which position (exclusive; None is no end) each picture is seen.

    Picture ``i`` stands at position ``places[i]`` and is seen until the next one. Pictures that follow each other
    directly are seen together, and the last ones by all that comes later.
    """
    found: list[tuple[int, int | None]] = []
    end: int | None = None
    for place in reversed(places):
        if found and place + 1 != found[-1][0]:
            end = found[-1][0]
        found.append((place, end))
    return found[::-1]
