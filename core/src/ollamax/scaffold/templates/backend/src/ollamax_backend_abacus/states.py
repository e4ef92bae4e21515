"""The states of the abacus backend: float32 arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ollamax.backend import State

Array = npt.NDArray[Any]


class AbacusState(State):
    """One state ``(slots, cells, ...)``, zero at first."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.values: Array = np.zeros(shape, np.float32)

    def copy_rows(self, source: int, target: int, rows: Array) -> None:
        """Copy cells ``rows`` of one slot to another."""
        self.values[target, rows] = self.values[source, rows]

    def slot(self, number: int) -> Array:
        """A copy of one slot ``(cells, ...)``."""
        return np.array(self.values[number])

    def replace(self, number: int, value: Array) -> None:
        """Put ``value (cells, ...)`` into one slot."""
        self.values[number] = value
