"""Which pictures the encoder cells of each sequence hold, and which tokens see them: the host's book."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

FOREVER = 1 << 62
"""A position after every other."""

NOT_IN_USE = -1


@dataclass(frozen=True, slots=True)
class View:
    """Tokens at positions ``begin`` to ``end`` (exclusive) see the cells of a picture that are ``visible``."""

    begin: int
    end: int
    visible: npt.NDArray[np.bool_]


class PictureBook:
    """The pictures of ``slots`` sequences; each takes ``picture_cells`` encoder cells, in their order."""

    def __init__(self, slots: int, picture_cells: int) -> None:
        self.picture_cells = picture_cells
        self._views: list[tuple[View, ...]] = [()] * slots

    def show(self, slot: int, views: Sequence[View]) -> None:
        """From now on these are the pictures of a sequence."""
        self._views[slot] = tuple(views)

    def count(self, slot: int) -> int:
        """How many pictures a sequence has."""
        return len(self._views[slot])

    def extent(self, slots: Sequence[int]) -> int:
        """How many encoder cells a step on ``slots`` looks at."""
        return max(map(self.count, slots)) * self.picture_cells

    def move(self, slot: int, keep: int, discard: int) -> None:
        """Follow tokens that move down by ``discard`` positions after the first ``keep``, when others were dropped."""

        def moved(position: int) -> int:
            return position if position < keep or position == FOREVER else max(keep, position - discard)

        self._views[slot] = tuple(
            replace(view, begin=moved(view.begin), end=moved(view.end)) for view in self._views[slot]
        )

    def copy(self, source: int, target: int) -> None:
        """Give ``target`` the pictures of ``source``."""
        self._views[target] = self._views[source]

    def inputs(self, slots: Sequence[int], positions: Array, cells: int) -> dict[str, Array]:
        """What :class:`~ollamax.kvcache.EncoderCache` asks for: tokens at ``positions (N, T)``, ``cells`` looked at."""
        begin = np.zeros((len(slots), cells), np.int64)
        end = np.full((len(slots), cells), NOT_IN_USE, np.int64)
        blind = np.ones(positions.shape, np.bool_)
        for row, slot in enumerate(slots):
            for number, view in enumerate(self._views[slot]):
                part = slice(number * self.picture_cells, (number + 1) * self.picture_cells)
                begin[row, part] = view.begin
                end[row, part] = np.where(view.visible, view.end, 0)  # in use, but no token sees it
                blind[row] &= (positions[row] < view.begin) | (positions[row] >= view.end)
        return {
            "encoder_slots": np.asarray(slots, np.int64),
            "seen_from": begin,
            "seen_until": end,
            "blind": blind,
            "has_picture": np.array([self.count(slot) > 0 for slot in slots]),
        }
