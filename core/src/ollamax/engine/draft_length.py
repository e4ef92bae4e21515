"""How many tokens to draft: what steps cost, how often proposals come true, and what follows from both."""

from __future__ import annotations

from collections import deque

from ollamax.engine.lookup import LONGEST

LENGTHS = (0, 3, 7, 15)
"""Drafts that are tried: few, since a backend may build a graph for each, and with the last token powers of two."""

_RECENT = 5
_SHARE = 1 / 400
_HALF = 0.5


class StepCosts:
    """Seconds that a model's steps take, by how many drafted tokens they check beside the last one.

    A cost is the least of the last few steps, since a busy machine only makes steps slower. The first step of a length
    is not counted: a backend may build for it what later ones use again. ``elapsed`` is the time of all steps.
    """

    def __init__(self) -> None:
        self.elapsed = 0.0
        self._seconds: dict[int, deque[float]] = {}
        self._used: dict[int, float] = {}

    def add(self, length: int, seconds: float) -> None:
        """Tell what a step with ``length`` drafted tokens took."""
        self.elapsed += seconds
        self._used[length] = self.elapsed
        if length in self._seconds:
            self._seconds[length].append(seconds)
        else:
            self._seconds[length] = deque(maxlen=_RECENT)

    def idle(self, length: int) -> float:
        """Seconds of other steps since the last one of this length."""
        return self.elapsed - self._used.get(length, 0.0)

    def known(self, most: int) -> dict[int, float]:
        """The cost of every length up to ``most``, ending with the first that was not measured, as it is guessed.

        The guess goes on in a line from the two lengths before. Beside plain steps alone, it is that each token of
        a draft costs half of one. Empty before a plain step was measured.
        """
        costs: dict[int, float] = {}
        for length in (length for length in LENGTHS if length <= most):
            seconds = self._seconds.get(length)
            if not seconds:
                return costs | ({length: _guess(costs, length)} if costs else {})
            costs[length] = min(seconds)
        return costs


def _guess(costs: dict[int, float], length: int) -> float:
    *shorter, (last, cost) = costs.items()
    if not shorter:
        return cost * (1 + length) * _HALF
    before, less = shorter[-1]
    return cost + max(0.0, (cost - less) / (last - before)) * (length - last)


class HitRates:
    """How often proposed tokens come true, by the length of the match that proposed them; recent ones count most."""

    def __init__(self) -> None:
        self._rates = [1 / 3] * (LONGEST + 1)
        self._weights = [2.0] * (LONGEST + 1)  # of the guess before anything was seen

    def add(self, match: int, hit: bool) -> None:
        """Tell whether a token proposed by a match of that many tokens came true."""
        at = min(match, LONGEST)
        self._weights[at] = min(self._weights[at] + 1, 16.0)
        self._rates[at] += (hit - self._rates[at]) / self._weights[at]

    def expected(self, match: int, length: int) -> float:
        """How many tokens a step with a draft of ``length`` gives: one, and the draft's up to its first wrong one."""
        total = reached = 1.0
        for at in range(match, match + length):
            reached *= self._rates[min(at, LONGEST)]
            total += reached
        return total


def choose_length(costs: StepCosts, rates: HitRates, match: int, most: int) -> int:
    """The draft of at most ``most`` tokens, 0 is none, with the least seconds for each token that may be expected.

    Now and then another one is chosen, to measure it again: when that is expected to lose a small share of the time
    that passed without it.
    """
    known = costs.known(most)
    if not known:
        return 0
    gains = {length: rates.expected(match, length) for length in known}
    best = min(known, key=lambda length: known[length] / gains[length])
    pace = known[best] / gains[best]
    for length, cost in known.items():
        if length != best and cost - gains[length] * pace <= _SHARE * costs.idle(length):
            return length
    return best
