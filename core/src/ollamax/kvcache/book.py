"""What the caches of a model hold of each sequence: the host's book, and the inputs of steps that follow from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ollamax.kvcache.base import Layout
from ollamax.kvcache.cells import Cells

Array = npt.NDArray[Any]
Ids = npt.NDArray[np.int64]
Step = tuple[dict[str, Array], dict[str, int]]
"""Inputs and dims of a run."""


class CacheBook:
    """``slots`` sequences in one or more caches; their tokens have the positions from 0 on, without a gap.

    ``dim_steps`` are those of the backend: dims are rounded up to a multiple.
    """

    def __init__(self, layouts: Sequence[Layout], slots: int, dim_steps: Mapping[str, int]) -> None:
        self._books = [(layout, Cells(slots, layout.cells, layout.window)) for layout in layouts]
        self._dim_steps = dim_steps

    def length(self, slot: int) -> int:
        """How many tokens a sequence has."""
        return self._books[0][1].next_position(slot)

    def usable(self, slot: int, length: int) -> int:
        """With how many of the first ``length`` tokens a sequence can go on: the most that every cache is right for.

        A cache with a window may have forgotten tokens that a shorter sequence would look at. What comes after the
        usable ones must be computed again, and the logits are then those of computing everything.
        """
        while True:
            least = min(cells.usable(slot, length) for _, cells in self._books)
            if least == length:
                return length
            length = least  # fewer tokens look at others before them: ask every cache again

    def append(self, slots: Ids, positions: Ids) -> Step:
        """Take cells for tokens at ``positions (N, T)`` of ``slots (N,)``.

        Raises ContextFullError when there are too few; some may have been taken then.
        """
        inputs: dict[str, Array] = {}
        dims: dict[str, int] = {}
        for layout, cells in self._books:
            rows = [cells.place(slot, wanted) for slot, wanted in zip(slots.tolist(), positions, strict=True)]
            dims[layout.dim] = extent = self._extent(layout, cells, slots)
            inputs[f"{layout.prefix}rows"] = np.stack(rows)
            inputs[f"{layout.prefix}key_positions"] = cells.positions[slots, :extent]
        return inputs, dims

    def truncate(self, slot: int, length: int) -> None:
        """Forget everything from position ``length`` on."""
        for _, cells in self._books:
            cells.remove(slot, length)

    def slide(self, slot: int, keep: int, discard: int) -> Step | None:
        """Drop ``discard`` tokens after the first ``keep`` and move the rest down.

        Returns what the ``shift`` program needs to turn the keys; None where nothing moved.
        """
        slots = np.array([slot])
        inputs: dict[str, Array] = {"slots": slots}
        dims = {"N": 1}
        moved = False
        for layout, cells in self._books:
            cells.remove(slot, keep, keep + discard)
            change = cells.move(slot, keep + discard, -discard)
            dims[layout.dim] = extent = self._extent(layout, cells, slots)
            inputs[f"{layout.prefix}rows"] = np.arange(extent)[None]
            inputs[f"{layout.prefix}delta"] = change[None, :extent]
            moved = moved or bool(change.any())
        return (inputs, dims) if moved else None

    def copy(self, source: int, target: int, length: int) -> dict[str, Ids]:
        """Make ``target`` hold what there is of the first ``length`` tokens of ``source``.

        Returns the cells to copy, by the prefix of the states that have them.
        """
        return {f"{layout.name}.": cells.copy(source, target, length) for layout, cells in self._books}

    def _extent(self, layout: Layout, cells: Cells, slots: Ids) -> int:
        """How many cells a step looks at, in the steps that the backend wants."""
        size = self._dim_steps.get(layout.dim, 1)
        return min(layout.cells, -(-cells.extent(slots) // size) * size)
