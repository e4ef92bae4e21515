"""What is measured: pieces of work for a worker, and the rows that each of them gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Facts:
    """What the value of a row may depend on besides times.

    ``bandwidth`` is the machine's, in bytes per second, ``step_bytes`` what a decode step reads of the weights.
    """

    bandwidth: float
    step_bytes: int


@dataclass(frozen=True)
class Row:
    """A line of the table: ``value`` makes a sample, in ``unit``, of what a worker answered.

    ``kind`` is what rows are chosen by.
    """

    kind: str
    title: str
    unit: str
    value: Callable[[Sequence[float], Facts], float]
    more_is_better: bool = False
    digits: int = 1

    def shown(self, value: float) -> str:
        """A sample as it is printed, without its unit."""
        return f"{value:.{self.digits}f}"

    def ratio(self, one: float, other: float) -> float:
        """How much better ``one`` is than ``other``: above 1 where it is."""
        above, below = (one, other) if self.more_is_better else (other, one)
        return above / below if below > 0 else float("inf")


@dataclass(frozen=True)
class Job:
    """One thing that a worker does, and its ``rows``.

    ``context`` is what it needs of each of ``sequences``. A ``fresh`` job takes a process of its own each time, and is
    answered with the seconds since its start and the bytes of its peak memory.
    """

    work: str
    numbers: tuple[int, ...]
    rows: tuple[Row, ...]
    context: int
    sequences: int = 1
    fresh: bool = False
