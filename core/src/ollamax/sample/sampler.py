"""From the logits of one position to one token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ollamax.errors import SampleError
from ollamax.sample.distribution import draw, softmax
from ollamax.sample.filters import min_p, top_k, top_p, typical_p
from ollamax.sample.penalties import RecentTokens, penalize
from ollamax.sample.ranking import Floats, Indices


class SampleOptions(Protocol):
    """The options that a sampler reads; ``ollamax.engine.options.Options`` has them, checked."""

    @property
    def seed(self) -> int: ...  # noqa: D102 (the meaning is told in the table of options)
    @property
    def temperature(self) -> float: ...  # noqa: D102
    @property
    def top_k(self) -> int: ...  # noqa: D102
    @property
    def top_p(self) -> float: ...  # noqa: D102
    @property
    def min_p(self) -> float: ...  # noqa: D102
    @property
    def typical_p(self) -> float: ...  # noqa: D102
    @property
    def repeat_last_n(self) -> int: ...  # noqa: D102
    @property
    def repeat_penalty(self) -> float: ...  # noqa: D102
    @property
    def presence_penalty(self) -> float: ...  # noqa: D102
    @property
    def frequency_penalty(self) -> float: ...  # noqa: D102


class Sampler:
    """Chooses the tokens of one sequence.

    Order of work, as in llama.cpp and Ollama: penalties, top_k, typical_p, top_p, min_p, temperature, draw.
    With temperature 0 the largest logit after the penalties is taken, the lowest id among equals.

    Random numbers come from ``numpy.random.Generator(PCG64(seed))``, one per drawn token: the same seed,
    options and logits give the same tokens. Seed -1 takes fresh entropy. The tokens for a seed are not
    those of llama.cpp, which has another generator.
    """

    def __init__(self, options: SampleOptions, n_vocab: int) -> None:
        self._options, self._n_vocab = options, n_vocab
        self._recent = RecentTokens(options.repeat_last_n)
        self._filters = _active_filters(options)
        self._random = self._seeded()

    def accept(self, token: int) -> None:
        """Tell the sampler that ``token`` is in the sequence (prompt or answer); the penalties count it."""
        if not 0 <= token < self._n_vocab:
            raise SampleError(f"token {token} is outside the vocabulary of {self._n_vocab}")
        self._recent.add(token)

    def sample(self, logits: npt.NDArray[np.float32]) -> int:
        """The next token for ``logits``, float32 of shape (n_vocab,), which is left as it is.

        Does not ``accept`` the token. Raises SampleError for a wrong shape, NaN, +inf, or -inf everywhere.
        """
        self._check(logits)
        options = self._options
        logits = penalize(
            logits,
            self._recent,
            repeat=options.repeat_penalty,
            presence=options.presence_penalty,
            frequency=options.frequency_penalty,
        )
        if options.temperature == 0:
            return int(np.argmax(logits))
        ids: Indices | None = None  # None: the whole vocabulary
        for keep in self._filters:
            kept = keep(logits)
            logits = logits[kept]
            ids = kept if ids is None else ids[kept]
        position = draw(softmax(logits, options.temperature), self._random)
        return position if ids is None else int(ids[position])

    def reset(self) -> None:
        """Forget the sequence and start the random numbers again from the seed."""
        self._recent.clear()
        self._random = self._seeded()

    def _seeded(self) -> np.random.Generator:
        seed = self._options.seed
        return np.random.Generator(np.random.PCG64(None if seed < 0 else seed))

    def _check(self, logits: npt.NDArray[np.float32]) -> None:
        if logits.shape != (self._n_vocab,):
            raise SampleError(f"logits have shape {logits.shape}, but the vocabulary has {self._n_vocab} tokens")
        largest = float(logits.max())  # NaN if there is one anywhere
        if not np.isfinite(largest):
            problem = "every logit is -inf" if largest == -np.inf else f"a logit is {largest}"
            raise SampleError(f"cannot choose a token: {problem}; the model's weights or the backend are at fault")


def _active_filters(options: SampleOptions) -> list[Callable[[Floats], Indices]]:
    """The filters that these options turn on, in order."""
    filters: list[Callable[[Floats], Indices]] = []
    if options.top_k > 0:
        filters.append(lambda logits: top_k(logits, options.top_k))
    if options.typical_p < 1:
        filters.append(lambda logits: typical_p(logits, options.typical_p))
    if options.top_p < 1:
        filters.append(lambda logits: top_p(logits, options.top_p))
    if options.min_p > 0:
        filters.append(lambda logits: min_p(logits, options.min_p))
    return filters
