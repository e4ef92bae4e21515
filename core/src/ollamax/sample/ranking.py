"""The likeliest entries of a large vocabulary, without sorting all of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Indices = npt.NDArray[np.intp]

_FIRST = 256
_GROWTH = 8


def lowest(scores: Floats, count: int) -> Indices:
    """Positions of the ``count`` smallest of ``scores`` (1-d, no NaN), smallest first; equal ones by
    position.

    ``numpy.argpartition`` would be free to pick any of those that tie at the border, and does so
    differently from one processor to the next; here the lowest positions win everywhere.
    """
    if count >= scores.size:
        return np.argsort(scores, kind="stable")
    border = np.partition(scores, count - 1)[count - 1]
    below = np.flatnonzero(scores < border)
    tied = np.flatnonzero(scores == border)[: count - below.size]
    chosen = np.concatenate([below, tied])
    return chosen[np.lexsort((chosen, scores[chosen]))]


def lowest_until(scores: Floats, weights: Floats, mass: float) -> Indices:
    """The fewest positions, in the order of ``lowest``, whose ``weights`` add up to ``mass`` or more.

    At least one position; all of them where rounding keeps the sum of everything below ``mass``.
    """
    count = _FIRST
    while True:
        order = lowest(scores, count)
        total = np.cumsum(weights[order], dtype=np.float64)
        reached = int(np.searchsorted(total, mass, side="left"))
        if reached < order.size or order.size == scores.size:
            return order[: reached + 1]
        count *= _GROWTH
