"""Logits as a probability distribution, and a draw from it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ollamax.sample.ranking import Floats


def softmax(logits: Floats, temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """``exp(x / temperature)``, normalised, as float64; needs ``temperature`` > 0 and one finite logit."""
    # Subtract before dividing: a tiny temperature may overflow to -inf, which is a probability of 0, never
    # to +inf.
    with np.errstate(over="ignore", under="ignore"):
        weights = np.exp((logits - logits.max()).astype(np.float64) / temperature)
    return np.asarray(weights / weights.sum())


def draw(probabilities: npt.NDArray[np.float64], random: np.random.Generator) -> int:
    """One position by inverse transform sampling: the first whose cumulative probability exceeds u in [0, 1).

    Takes one number from ``random``, whatever the size. A position of probability 0 is never drawn.
    """
    cumulative = np.cumsum(probabilities)
    # random() is at most 1 - 2**-53, so its product with the total rounds to something below the total.
    return int(np.searchsorted(cumulative, random.random() * cumulative[-1], side="right"))
