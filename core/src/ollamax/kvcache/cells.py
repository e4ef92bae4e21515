"""Which token position each cell of a cache holds: the host's book of every sequence."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ollamax.errors import ContextFullError

Positions = npt.NDArray[np.int64]

EMPTY = -1


class Cells:
    """``slots`` sequences of up to ``cells`` cells each; a cell holds a position, or nothing.

    Cells need no order: attention sees positions, not places, so removing tokens leaves holes that are used again. So
    are the cells of positions that lie more than ``window`` before a new one; None keeps all.
    """

    def __init__(self, slots: int, cells: int, window: int | None = None) -> None:
        self.slots, self.cells, self.window = slots, cells, window
        self.positions: Positions = np.full((slots, cells), EMPTY, np.int64)

    def next_position(self, slot: int) -> int:
        """The position after the last token; 0 for an empty sequence."""
        return int(self.positions[slot].max(initial=EMPTY)) + 1

    def extent(self, slots: npt.NDArray[np.int64]) -> int:
        """One more than the highest cell in use by any of ``slots``: how far attention must look."""
        used = np.flatnonzero((self.positions[slots] >= 0).any(axis=0))
        return int(used[-1]) + 1 if used.size else 0

    def place(self, slot: int, positions: Positions) -> Positions:
        """Take cells for tokens at ``positions``, which rise: free ones first, then the oldest; returns the cells.

        Raises ContextFullError, and takes none, when there are too few.
        """
        held = self.positions[slot]
        free = np.flatnonzero(held < 0)
        if self.window is not None and free.size < positions.size:
            gone = np.flatnonzero(held < max(positions[0] - self.window, 0))
            free = gone[np.argsort(held[gone], kind="stable")]
        if free.size < positions.size:
            raise ContextFullError(
                f"the {self.cells} cells of a sequence have room for {free.size} more tokens, not {positions.size}; "
                "raise num_ctx or shorten the prompt"
            )
        rows = free[: positions.size]
        held[rows] = positions
        return rows

    def usable(self, slot: int, length: int) -> int:
        """The most of the first ``length`` tokens that the next one can follow as if all of them were held.

        They must be held, or where there is a window the last ``window`` of them.
        """
        held = np.zeros(length, np.bool_)
        positions = self.positions[slot]
        held[positions[(positions >= 0) & (positions < length)]] = True
        missing = np.flatnonzero(~held)
        if self.window is None:
            return int(missing[0]) if missing.size else length
        # Between two that are missing lies a stretch of held ones, which must be as long as the window.
        ends = np.append(missing, length)
        enough = np.diff(ends) > self.window
        return int(ends[1:][enough][-1]) if enough.any() else int(ends[0])

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
