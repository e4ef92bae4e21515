"""The generation loop: sample, stop, slide, and yield text as it becomes complete."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence

from ollamax.engine.chunk import Chunk, DoneReason, Stats
from ollamax.engine.draft_length import StepCosts
from ollamax.engine.options import Options
from ollamax.engine.picture import Shown
from ollamax.engine.runner import Logits
from ollamax.engine.sequence import Sequence as Held
from ollamax.engine.speculative import SpeculativeDecoder
from ollamax.engine.stop import StopMatcher
from ollamax.errors import ContextFullError
from ollamax.sample.sampler import Sampler
from ollamax.tokenizer.base import Tokenizer

_UNTIL_FULL = -2


class Generation:
    """One answer to one prompt.

    Iterate it once. Raises ContextFullError when the prompt leaves no room for an answer, SampleError when the
    logits allow no choice, and UsageError when another call took over the model meanwhile.
    """

    def __init__(
        self,
        held: Held,
        tokenizer: Tokenizer,
        prompt: Sequence[int],
        options: Options,
        *,
        pictures: Sequence[Shown] = (),
        stops: Sequence[str] = (),
        costs: StepCosts,
        load_seconds: float = 0.0,
    ) -> None:
        self._held, self._tokenizer, self._prompt, self._options = held, tokenizer, list(prompt), options
        self._pictures = pictures
        self._stops = StopMatcher([*options.stop, *stops])
        self._sampler = Sampler(options, tokenizer.n_vocab)
        self._began, self._load_seconds = time.perf_counter(), load_seconds
        self._prompt_seconds = 0.0
        self._computed = self._answered = 0
        keep = len(self._prompt) if options.num_keep < 0 else min(options.num_keep, len(self._prompt))
        self._steps = SpeculativeDecoder(held, options.draft_num_predict, keep, costs)
        check_fit(self._prompt, held.capacity, tokenizer)

    def __iter__(self) -> Generator[Chunk, None, None]:
        try:
            yield from self._chunks()
        finally:
            self._steps.finish()

    def _chunks(self) -> Iterator[Chunk]:
        decoder = self._tokenizer.stream(after=self._prompt)
        logits = self._read_prompt()
        if self._options.num_predict == 0:
            yield self._last("", "load")
            return
        while True:
            token = self._sampler.sample(logits)
            self._answered += 1
            if token in self._tokenizer.end_ids:
                yield self._last(self._flush(decoder.finish()), "stop")
                return
            self._sampler.accept(token)
            text, stopped = self._stops.push(decoder.push(token))
            reason = "stop" if stopped else self._limit()
            if reason is not None:
                rest = "" if stopped else self._flush(decoder.finish())
                yield self._last(text + rest, reason, token)
                return
            yield Chunk(text, token)
            logits = self._steps.next(token, self._left())

    def _read_prompt(self) -> Logits:
        new = self._prompt[self._held.rewind(self._prompt, self._pictures) :]
        logits = self._steps.begin(self._prompt, new)
        self._computed = len(new)
        self._prompt_seconds = time.perf_counter() - self._began
        for token in self._prompt:
            self._sampler.accept(token)
        return logits

    def _limit(self) -> DoneReason | None:
        """Why the answer must end after the token just drawn, if it must."""
        limit = self._options.num_predict
        full = limit == _UNTIL_FULL and self._steps.full
        return "length" if full or self._left() <= 0 else None

    def _left(self) -> int:
        """How many tokens may still be drawn: no more than the context holds, where there is no other limit."""
        limit = self._options.num_predict
        return limit - self._answered if limit > 0 else self._held.capacity

    def _flush(self, tail: str) -> str:
        text, stopped = self._stops.push(tail)
        return text if stopped else text + self._stops.finish()

    def _last(self, text: str, reason: DoneReason, token: int | None = None) -> Chunk:
        total = time.perf_counter() - self._began
        stats = Stats(
            total_seconds=self._load_seconds + total,
            load_seconds=self._load_seconds,
            prompt_tokens=self._computed,
            prompt_seconds=self._prompt_seconds,
            eval_tokens=self._answered,
            eval_seconds=total - self._prompt_seconds,
            eval_steps=self._steps.count,
            drafted_tokens=self._steps.drafted,
            accepted_tokens=self._steps.accepted,
        )
        return Chunk(text, token, done=True, done_reason=reason, stats=stats)


def check_fit(prompt: Sequence[int], capacity: int, tokenizer: Tokenizer) -> None:
    """Raise ContextFullError, telling what would be cut, unless a prompt and one token of answer fit the context."""
    if len(prompt) < capacity:
        return
    over = len(prompt) - capacity + 1
    lost = tokenizer.decode(prompt[capacity - 1 :])
    shown = " ".join(lost.split())
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    raise ContextFullError(
        f"the prompt has {len(prompt)} tokens and the context holds {capacity}: its last {over} would be cut, "
        f"from {shown!r} on; shorten it or raise num_ctx"
    )
