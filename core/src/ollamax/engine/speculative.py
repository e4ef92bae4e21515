"""Speculative decoding: tokens that the text itself proposes are checked together, several in one step."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence as Tokens

from ollamax.engine.draft_length import LENGTHS, HitRates, StepCosts, choose_length
from ollamax.engine.lookup import PromptLookup
from ollamax.engine.runner import Logits
from ollamax.engine.sequence import Sequence

MEASURED = -1
"""As the most tokens of a draft: as many as pay."""


class SpeculativeDecoder:
    """Logits after each token of an answer, for a sampler that need not know how they came about.

    A step computes the last token and a draft. Where the token that is chosen next is the draft's, its logits are at
    hand; where it is another, the rest of the draft is taken out of the sequence again. So what is chosen is what a
    step for each token would give, up to the rounding of logits where a backend rounds larger steps differently.
    Leviathan, Kalman, Matias: Fast Inference from Transformers via Speculative Decoding, 2023 (arXiv:2211.17192).

    ``most`` is the longest draft: 0 for none, or MEASURED. A full context slides and keeps its first ``keep`` tokens.
    ``drafted`` and ``accepted`` count tokens, ``count`` the steps for them.
    """

    def __init__(self, held: Sequence, most: int, keep: int, costs: StepCosts) -> None:
        self._held, self._most, self._keep, self._costs, self._rates = held, most, keep, costs, HitRates()
        self._lookup = PromptLookup()
        self._turn: int | None = None
        self._draft: deque[int] = deque()  # computed, and not yet chosen
        self._rows: deque[Logits] = deque()  # the logits after each of them
        self.drafted = self.accepted = self.count = 0

    @property
    def full(self) -> bool:
        """Whether the context has no room for another token."""
        return len(self._held) - len(self._draft) >= self._held.capacity

    def begin(self, prompt: Tokens[int], new: Tokens[int]) -> Logits:
        """Take the sequence, which holds ``prompt`` but for its last ``new``; the logits ``(n_vocab,)`` after it."""
        logits = self._held.extend(new)
        self._turn = self._held.turn
        self._lookup = PromptLookup(prompt if self._most else ())
        last: Logits = logits[-1]
        return last

    def next(self, token: int, left: int) -> Logits:
        """The logits ``(n_vocab,)`` after ``token``, the next one of the text; at most ``left`` more will follow.

        Raises UsageError when another call took over the model meanwhile.
        """
        self._held.check_turn(self._turn)
        self._look(token)
        if self._draft and self._draft[0] == token:
            self._draft.popleft()
            self.accepted += 1
            return self._rows.popleft()
        again = self._take_back()
        if again:
            self._held.extend(again)
        if self.full:
            self._held.slide(self._keep)
            if self._most:
                self._lookup = PromptLookup([*self._held.tokens, token])  # it grows no longer than the context
        return self._step(token, left)

    def finish(self) -> None:
        """Leave only what was chosen in the sequence, unless another call has taken it over."""
        if self._held.turn == self._turn:
            self._take_back()

    def _look(self, token: int) -> None:
        if self._most:
            if self._lookup.match:
                self._rates.add(self._lookup.match, self._lookup.token == token)
            self._lookup.add(token)

    def _take_back(self) -> list[int]:
        """Take the draft out of the sequence; returns what was lost with it."""
        count = len(self._draft)
        self._draft.clear()
        self._rows.clear()
        return self._held.take_back(count) if count else []

    def _step(self, token: int, left: int) -> Logits:
        draft = self._lookup.propose(self._length(left))
        began = time.perf_counter()
        logits = self._held.extend([token, *draft], every=True)
        self._costs.add(len(draft), time.perf_counter() - began)
        self._draft.extend(draft)
        self._rows.extend(logits[1:])
        self.drafted += len(draft)
        self.count += 1
        first: Logits = logits[0]
        return first

    def _length(self, left: int) -> int:
        """How many tokens to draft: no more than are wanted and fit one step and half of the context's room.

        A draft that is taken out leaves cells empty for which a window forgot older tokens. As many steps again fill
        them before the context slides, which then finds what it would without drafts.
        """
        if not self._lookup.match:
            return 0
        held = self._held
        room = min(left - 1, held.longest_step - 1, (held.capacity - len(held) - 1) // 2)
        if self._most == MEASURED:
            return choose_length(self._costs, self._rates, self._lookup.match, room)
        return max(length for length in (*LENGTHS, self._most) if length <= min(self._most, room))
