"""Whatever is put into the cache, copied, cut off or slid: the next logits are those of a fresh prompt.

The model has one block, so that a token's keys and values depend on the token and its position alone; then a slide,
too, must be exact.
"""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_llama import write_random_llama

import ollamax
from ollamax.engine.model import Model
from ollamax.errors import ContextFullError

SLOTS, CELLS = 3, 24

tokens = st.lists(st.integers(0, 257), min_size=1, max_size=9)
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
    min_size=1,
    max_size=10,
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Model, Model]]:
    path = write_random_llama(tmp_path_factory.mktemp("one") / "one.gguf", llama__block_count=1)
    with (
        ollamax.load(path, backend="cpu", parallel=SLOTS, num_ctx=CELLS, num_batch=4) as worked,
        ollamax.load(path, backend="cpu", num_ctx=CELLS + 1) as fresh,
    ):
        yield worked, fresh


class Book:
    """Does every step on the cache and on plain lists of tokens."""

    def __init__(self, model: Model) -> None:
        self.runner = model.runner
        self.held: list[list[int]] = [[] for _ in range(SLOTS)]
        for number in range(SLOTS):
            self.runner.truncate(number)

    def put(self, number: int, new: list[int]) -> None:
        if len(self.held[number]) + len(new) > CELLS:
            with pytest.raises(ContextFullError):
                self.runner.prefill(number, new)
            return
        self.runner.prefill(number, new)
        self.held[number] += new

    def copy(self, source: int, target: int, part: float) -> None:
        if source != target:
            length = round(part * len(self.held[source]))
            self.runner.copy(source, target, length)
            self.held[target] = self.held[source][:length]

    def cut(self, number: int, part: float) -> None:
        length = round(part * len(self.held[number]))
        self.runner.truncate(number, length)
        del self.held[number][length:]

    def slide(self, number: int, first: float, second: float) -> None:
        size = len(self.held[number])
        keep = round(first * size)
        discard = round(second * (size - keep))
        if discard:
            self.runner.slide(number, keep, discard)
            del self.held[number][keep : keep + discard]

    def decode(self, order: list[int], count: int, new: list[int]) -> None:
        slots = [number for number in order[:count] if len(self.held[number]) < CELLS]
        chosen = [new[at % len(new)] for at in range(len(slots))]
        if slots:
            self.runner.decode(slots, chosen)
            for number, token in zip(slots, chosen, strict=True):
                self.held[number].append(token)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_any_history_gives_the_logits_of_a_fresh_prompt(
    models: tuple[Model, Model], history: list[tuple[object, ...]]
) -> None:
    worked, fresh = models
    book = Book(worked)
    for action, *arguments in history:
        getattr(book, str(action))(*arguments)
    for number, held in enumerate(book.held):
        if len(held) < CELLS:
            probe = worked.runner.prefill(number, [65])[0]
            np.testing.assert_allclose(probe, fresh.logits([*held, 65])[-1], rtol=2e-4, atol=2e-4)
