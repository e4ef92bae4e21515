"""Whatever is put into the caches, copied, cut off or slid: the next logits are those of a fresh prompt.

In a model of one block a token's keys and values depend on the token and its position alone; then a slide, too, must be
exact. In deeper ones a slid sequence is compared with a model that is given the same steps and forgets nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_llama import write_random_llama
from random_qwen2 import write_random_qwen2

import ollamax
from ollamax.engine.model import Model
from ollamax.errors import ContextFullError

SLOTS, CELLS, WINDOW = 3, 24, 5

tokens = st.lists(st.integers(0, 257), min_size=1, max_size=14)
slot = st.integers(0, SLOTS - 1)
share = st.floats(0, 1)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), slot, tokens),
        st.tuples(st.just("copy"), slot, slot, share),
        st.tuples(st.just("cut"), slot, share),
        st.tuples(st.just("slide"), slot, share, share),
        st.tuples(st.just("decode"), st.permutations(range(SLOTS)), st.integers(1, SLOTS), tokens),
    ),
    min_size=4,
    max_size=16,
)


WRITERS: dict[str, Callable[[Path], Path]] = {
    "full": lambda path: write_random_llama(path, llama__block_count=1),
    "window": lambda path: write_random_qwen2(path, [WINDOW]),
    "mixed": lambda path: write_random_qwen2(path, [WINDOW, None, None, WINDOW]),
}


@dataclass(frozen=True)
class Models:
    """``worked`` has room for a window and a step, ``whole`` for the context; ``fresh`` gets every prompt anew."""

    worked: Model
    whole: Model
    fresh: Model
    one_block: bool


@pytest.fixture(scope="module", params=WRITERS)
def models(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, backend: str) -> Iterator[Models]:
    path = WRITERS[request.param](tmp_path_factory.mktemp("random") / "random.gguf")
    with (
        ollamax.load(path, backend=backend, parallel=SLOTS, num_ctx=CELLS, num_batch=4) as worked,
        ollamax.load(path, backend=backend, parallel=SLOTS, num_ctx=CELLS, num_batch=CELLS) as whole,
        ollamax.load(path, backend=backend, num_ctx=CELLS + 1) as fresh,
    ):
        yield Models(worked, whole, fresh, request.param != "mixed")


class Book:
    """Does every step on the caches and on plain lists of tokens."""

    def __init__(self, models: Models) -> None:
        self.runner, self.whole = models.worked.runner, models.whole.runner
        self.held: list[list[int]] = [[] for _ in range(SLOTS)]
        self.slid = [False] * SLOTS
        for number in range(SLOTS):
            self.runner.truncate(number)
            self.whole.truncate(number)

    def put(self, number: int, new: list[int]) -> None:
        if len(self.held[number]) + len(new) > CELLS:
            with pytest.raises(ContextFullError):
                self.runner.prefill(number, new)
            return
        for runner in (self.runner, self.whole):
            runner.prefill(number, new)
        self.held[number] += new

    def copy(self, source: int, target: int, part: float) -> None:
        if source != target:
            length = round(part * len(self.held[source]))
            left = self.runner.copy(source, target, length)
            assert self.whole.copy(source, target, length) == length
            self.slid[target] = self.slid[source]
            self.finish(target, left, self.held[source][:length])

    def cut(self, number: int, part: float) -> None:
        length = round(part * len(self.held[number]))
        left = self.runner.truncate(number, length)
        self.finish(number, left, self.held[number][:length])

    def slide(self, number: int, first: float, second: float) -> None:
        size = len(self.held[number])
        keep = round(first * size)
        discard = round(second * (size - keep))
        if discard:
            left = self.runner.slide(number, keep, discard)
            assert self.whole.slide(number, keep, discard) == size - discard
            self.slid[number] = True
            self.finish(number, left, self.held[number][:keep] + self.held[number][keep + discard :])

    def finish(self, number: int, left: int, wanted: list[int]) -> None:
        """Compute what the caches could not reuse."""
        assert 0 <= left <= len(wanted)
        assert self.whole.truncate(number, left) == left
        self.slid[number] = self.slid[number] and left > 0
        for runner in (self.runner, self.whole):
            runner.prefill(number, wanted[left:])
        self.held[number] = wanted

    def decode(self, order: list[int], count: int, new: list[int]) -> None:
        slots = [number for number in order[:count] if len(self.held[number]) < CELLS]
        chosen = [new[at % len(new)] for at in range(len(slots))]
        if slots:
            for runner in (self.runner, self.whole):
                runner.decode(slots, chosen)
            for number, token in zip(slots, chosen, strict=True):
                self.held[number].append(token)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_any_history_gives_the_logits_of_a_fresh_prompt(models: Models, history: list[tuple[object, ...]]) -> None:
    book = Book(models)
    for action, *arguments in history:
        getattr(book, str(action))(*arguments)
    for number, held in enumerate(book.held):
        if len(held) < CELLS:
            probe = models.worked.runner.prefill(number, [65])[0]
            assert_same(probe, models.whole.runner.prefill(number, [65])[0])
            if models.one_block or not book.slid[number]:
                assert_same(probe, models.fresh.logits([*held, 65])[-1])


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4)
