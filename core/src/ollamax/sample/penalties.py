"""Penalties for tokens that occurred lately."""

from __future__ import annotations

from collections import Counter, deque

import numpy as np
import numpy.typing as npt

_LARGEST = float(np.finfo(np.float32).max)


class RecentTokens:
    """The last ``size`` tokens and how often each of them occurs; -1 is no limit, 0 remembers none."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._order: deque[int] = deque()
        self._counts: Counter[int] = Counter()

    def add(self, token: int) -> None:
        """Remember ``token`` and forget the one that falls out of the window."""
        if self._size == 0:
            return
        self._counts[token] += 1
        if self._size < 0:  # nothing ever falls out, so the order need not be kept
            return
        self._order.append(token)
        if len(self._order) > self._size:
            oldest = self._order.popleft()
            self._counts[oldest] -= 1
            if not self._counts[oldest]:
                del self._counts[oldest]

    def clear(self) -> None:
        """Forget everything."""
        self._order.clear()
        self._counts.clear()

    def counts(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
        """The distinct tokens in the window and the count of each."""
        size = len(self._counts)
        return (
            np.fromiter(self._counts.keys(), np.intp, size),
            np.fromiter(self._counts.values(), np.float32, size),
        )


def penalize(
    logits: npt.NDArray[np.float32],
    recent: RecentTokens,
    repeat: float = 1.0,
    presence: float = 0.0,
    frequency: float = 0.0,
) -> npt.NDArray[np.float32]:
    """``logits`` with the scores of recent tokens lowered; a new vector, or ``logits`` itself where nothing
    changes.

    For a token that occurs ``c`` > 0 times, its logit ``x`` becomes ``x / repeat`` if x > 0, else ``x *
    repeat`` (Keskar et al.: CTRL, 2019, arXiv:1909.05858, with llama.cpp's rule for negative logits, which
    a division would raise); then ``presence + c * frequency`` is taken away (OpenAI's API reference,
    presence and frequency penalty).
    """
    tokens, counts = recent.counts()
    if not tokens.size or (repeat == 1 and presence == 0 and frequency == 0):
        return logits
    penalized = logits.copy()
    chosen = logits[tokens].astype(np.float64)
    possible = np.isfinite(chosen)
    with np.errstate(over="ignore"):
        chosen = np.where(chosen > 0, chosen / repeat, chosen * repeat) - presence - frequency * counts
    # An extreme penalty must not turn a finite logit into an infinite one: -inf means that a token cannot
    # occur.
    penalized[tokens] = np.where(possible, np.clip(chosen, -_LARGEST, _LARGEST), -np.inf)
    return penalized
