"""Which tokens stay in the running: pure functions from logits to the positions kept.

Each takes a float vector with at least one finite entry and without NaN (-inf is a token that cannot
occur), keeps at least one position, and returns positions. A neutral setting keeps all.
"""

from __future__ import annotations

import math

import numpy as np

from ollamax.sample.distribution import softmax
from ollamax.sample.ranking import Floats, Indices, lowest, lowest_until


def top_k(logits: Floats, k: int) -> Indices:
    """The ``k`` largest logits, largest first, equal ones by position; off for k <= 0 or k >= the vocabulary.

    Fan, Lewis, Dauphin: Hierarchical Neural Story Generation, 2018 (arXiv:1805.04833).
    """
    if k <= 0 or k >= logits.size:
        return np.arange(logits.size)
    return lowest(-logits, k)


def top_p(logits: Floats, p: float) -> Indices:
    """The fewest likeliest tokens whose probabilities add up to ``p`` or more; off for p >= 1.

    Holtzman et al.: The Curious Case of Neural Text Degeneration, 2019 (arXiv:1904.09751), "nucleus
    sampling".
    """
    if p >= 1:
        return np.arange(logits.size)
    return lowest_until(-logits, softmax(logits), p)


def min_p(logits: Floats, p: float) -> Indices:
    """Tokens with a probability of at least ``p`` times that of the likeliest; off for p <= 0.

    In logits: ``x >= max(x) + ln(p)``, so nothing is normalised. Nguyen et al.: Turning Up the Heat: Min-p
    Sampling for Creative and Coherent LLM Outputs, 2024 (arXiv:2407.01082).
    """
    if p <= 0:
        return np.arange(logits.size)
    return np.flatnonzero(logits >= logits.max() + math.log(p))


def typical_p(logits: Floats, p: float) -> Indices:
    """Tokens whose surprise is nearest to the entropy, until their probabilities add up to ``p``; off for p
    >= 1.

    Tokens are ranked by ``|-ln(q) - H|``, ``q`` their probability and ``H = -sum(q ln(q))``. This may drop
    the likeliest token. Meister et al.: Locally Typical Sampling, 2022 (arXiv:2202.00666).
    """
    if p >= 1:
        return np.arange(logits.size)
    probabilities = softmax(logits)
    surprise = np.full(logits.size, np.inf)
    possible = probabilities > 0
    surprise[possible] = -np.log(probabilities[possible])
    entropy = float(np.dot(probabilities[possible], surprise[possible]))
    return lowest_until(np.abs(surprise - entropy), probabilities, p)
