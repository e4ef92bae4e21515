"""What a tensor is like, in a few numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ollamax.inspect.trace import Array

_FIRST = 4


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of the finite values; ``not_finite`` counts the others. ``first`` are the first values of the last token.

    The figures are None where no value is finite.
    """

    mean: float | None
    std: float | None
    min: float | None
    max: float | None
    not_finite: int
    first: list[float | None]


def statistics(value: Array) -> Statistics:
    """The statistics of ``value (tokens, ...)``; mean and standard deviation are taken in float64."""
    first = [float(item) if np.isfinite(item) else None for item in value[-1].reshape(-1)[:_FIRST]]
    finite = value[np.isfinite(value)]
    lost = value.size - finite.size
    if not finite.size:
        return Statistics(None, None, None, None, lost, first)
    mean, std = finite.mean(dtype=np.float64), finite.std(dtype=np.float64)
    return Statistics(float(mean), float(std), float(finite.min()), float(finite.max()), lost, first)
