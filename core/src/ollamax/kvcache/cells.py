"""Which token position each cell of a cache holds: the host's book of every sequence."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ollamax.errors import ContextFullError

Positions = npt.NDArray[np.int64]

EMPTY = -1


class Cells:
    """``slots`` sequences of up to ``cells`` cells each; a cell holds a position, or nothing.

    Cells need no order: attention sees positions, not places, so removing tokens leaves holes that are used again.
    """

    def __init__(self, slots: int, cells: int) -> None:
        self.slots, self.cells = slots, cells
        self.positions: Positions = np.full((slots, cells), EMPTY, np.int64)

    def length(self, slot: int) -> int:
        """How many cells the sequence uses."""
        return int(np.count_nonzero(self.positions[slot] >= 0))

    def next_position(self, slot: int) -> int:
        """The position after the last token; 0 for an empty sequence."""
        return int(self.positions[slot].max(initial=EMPTY)) + 1

    def extent(self, slots: npt.NDArray[np.int64]) -> int:
        """One more than the highest cell in use by any of ``slots``: how far attention must look."""
        used = np.flatnonzero((self.positions[slots] >= 0).any(axis=0))
        return int(used[-1]) + 1 if used.size else 0

    def place(self, slot: int, positions: Positions) -> Positions:
        """Take free cells for tokens at ``positions``; returns the cells.

        Raises ContextFullError, and takes none, when there are too few.
        """
        free = np.flatnonzero(self.positions[slot] < 0)
        if free.size < positions.size:
            raise ContextFullError(
                f"the context of {self.cells} tokens has room for {free.size} more, not {positions.size}; "
                "raise num_ctx or shorten the prompt"
            )
        rows = free[: positions.size]
        self.positions[slot, rows] = positions
        return rows

    def remove(self, slot: int, begin: int = 0, end: int | None = None) -> None:
        """Forget positions ``begin`` to ``end`` (exclusive; None for all that follow)."""
        held = self.positions[slot]
        held[(held >= begin) & (held < end if end is not None else True)] = EMPTY

    def move(self, slot: int, begin: int, delta: int) -> Positions:
        """Add ``delta`` to positions from ``begin`` on; returns the change of every cell ``(cells,)``.

        The keys in the cells must be turned by the same change.
        """
        held = self.positions[slot]
        change = np.where(held >= begin, delta, 0)
        held += change
        return change

    def copy(self, source: int, target: int, length: int) -> Positions:
        """Make ``target`` hold the first ``length`` positions of ``source``; returns the cells to copy."""
        held = self.positions[source]
        rows = np.flatnonzero((held >= 0) & (held < length))
        kept = held[rows]  # a copy, for source and target may be the same
        self.positions[target] = EMPTY
        self.positions[target, rows] = kept
        return rows
