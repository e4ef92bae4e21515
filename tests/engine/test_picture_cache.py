"""Whatever sequences with and without pictures go through, the next logits are those of a fresh prompt."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_mllama import PICTURES, png

import ollamax
from ollamax.engine.model import Model

pytestmark = pytest.mark.reference

SLOTS, CELLS, WORDS = 3, 24, 280
SHOWN = [PICTURES["wide"], PICTURES["small"], png(70, 60, 3)]

tokens = st.lists(st.integers(2, WORDS - 1), min_size=1, max_size=5)
slot = st.integers(0, SLOTS - 1)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), slot, st.lists(st.sampled_from(SHOWN), max_size=2), tokens),
        st.tuples(st.just("put"), slot, tokens),
        st.tuples(st.just("copy"), slot, slot),
        st.tuples(st.just("cut"), slot, st.floats(0, 1)),
        st.tuples(st.just("decode"), st.permutations(range(SLOTS)), st.integers(2, SLOTS), tokens),
    ),
    min_size=2,
    max_size=8,
)


@pytest.fixture(scope="module")
def models(mllama_checkpoint: Path, backend: str) -> Iterator[tuple[Model, Model]]:
    with (
        ollamax.load(mllama_checkpoint, backend=backend, parallel=SLOTS, num_ctx=CELLS, num_batch=4) as worked,
        ollamax.load(mllama_checkpoint, backend=backend, num_ctx=CELLS + 1) as fresh,
    ):
        yield worked, fresh


class Book:
    """Does every step on the caches and on plain lists of tokens and pictures."""

    def __init__(self, model: Model) -> None:
        assert model._pictures is not None
        self.runner, self.reader = model.runner, model._pictures
        self.held: list[list[int]] = [[] for _ in range(SLOTS)]
        self.pictures: list[list[bytes]] = [[] for _ in range(SLOTS)]
        for number in range(SLOTS):
            self.ask(number, [], [])

    def ask(self, number: int, pictures: list[bytes], new: list[int]) -> None:
        ids = [token for _ in pictures for token in (*new[:2], self.reader.token)] + new
        self.runner.truncate(number)
        self.runner.show(number, self.reader.find(ids, pictures))
        self.runner.prefill(number, ids)
        self.held[number], self.pictures[number] = ids, pictures

    def put(self, number: int, new: list[int]) -> None:
        if len(self.held[number]) + len(new) <= CELLS:
            self.runner.prefill(number, new)
            self.held[number] += new

    def copy(self, source: int, target: int) -> None:
        if source != target:
            self.runner.copy(source, target, len(self.held[source]))
            self.held[target], self.pictures[target] = list(self.held[source]), self.pictures[source]

    def cut(self, number: int, part: float) -> None:
        """Never so far that a picture loses its token."""
        last = max((at + 1 for at, token in enumerate(self.held[number]) if token == self.reader.token), default=0)
        length = last + round(part * (len(self.held[number]) - last))
        self.runner.truncate(number, length)
        del self.held[number][length:]

    def decode(self, order: list[int], count: int, new: list[int]) -> None:
        slots = [number for number in order[:count] if len(self.held[number]) < CELLS]
        chosen = [new[at % len(new)] for at in range(len(slots))]
        if slots:
            self.runner.decode(slots, chosen)
            for number, token in zip(slots, chosen, strict=True):
                self.held[number].append(token)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_any_history_gives_the_logits_of_a_fresh_prompt(
    models: tuple[Model, Model], history: list[tuple[object, ...]]
) -> None:
    worked, fresh = models
    book = Book(worked)
    for action, *arguments in history:
        getattr(book, str(action))(*arguments)
    for number, (held, pictures) in enumerate(zip(book.held, book.pictures, strict=True)):
        if len(held) < CELLS:
            probe = worked.runner.prefill(number, [65])[0, :WORDS]
            expected = fresh.logits([*held, 65], images=pictures)[-1, :WORDS]
            np.testing.assert_allclose(probe, expected, rtol=2e-4, atol=2e-4)
