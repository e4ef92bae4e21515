"""Books of caches with windows: which cells are used again, and how far a sequence can be cut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamax.errors import ContextFullError
from ollamax.kvcache.base import Layout
from ollamax.kvcache.book import CacheBook
from ollamax.kvcache.cells import Cells


def put(cells: Cells, count: int) -> list[int]:
    start = cells.next_position(0)
    return cells.place(0, np.arange(start, start + count)).tolist()


def right(held: set[int], length: int, window: int | None) -> bool:
    """Whether everything that a token at position ``length`` may look at, and one more, is held."""
    first = 0 if window is None else max(0, length - window)
    return held.issuperset(range(first, length))


def test_free_cells_are_taken_first_and_then_the_oldest_outside_the_window() -> None:
    cells = Cells(1, 6, window=3)
    assert put(cells, 6) == [0, 1, 2, 3, 4, 5]
    cells.remove(0, 5)
    assert put(cells, 1) == [5]
    assert put(cells, 2) == [0, 1]
    assert cells.positions[0].tolist() == [6, 7, 2, 3, 4, 5]
    assert put(cells, 3) == [2, 3, 4]
    assert cells.positions[0].tolist() == [6, 7, 8, 9, 10, 5]


def test_tokens_inside_the_window_are_not_given_up() -> None:
    cells = Cells(1, 6, window=3)
    put(cells, 6)
    with pytest.raises(ContextFullError, match="room for 3 more tokens, not 4"):
        put(cells, 4)
    assert put(cells, 3) == [0, 1, 2]


def test_a_sequence_can_be_cut_as_far_as_a_whole_window_is_held() -> None:
    cells = Cells(1, 8, window=3)
    for _ in range(10):
        put(cells, 2)
    assert [cells.usable(0, length) for length in (25, 20, 16, 15, 14, 3)] == [20, 20, 16, 15, 0, 0]


def test_a_cut_sequence_that_became_short_may_still_have_its_beginning() -> None:
    cells = Cells(1, 8, window=3)
    put(cells, 6)
    cells.remove(0, 4, 5)  # tokens 0 to 3, and 5
    assert [cells.usable(0, length) for length in (6, 5, 4, 2)] == [4, 4, 4, 2]


@given(
    st.integers(1, 5),
    st.integers(1, 4),
    st.lists(st.one_of(st.tuples(st.just("put"), st.integers(1, 4)), st.tuples(st.just("cut"), st.integers(0, 40)))),
)
def test_window_and_step_are_cells_enough(window: int, step: int, actions: list[tuple[str, int]]) -> None:
    cells = Cells(1, window + step, window)
    for action, number in actions:
        if action == "put":
            put(cells, min(number, step))
        else:
            held = set(cells.positions[0].tolist())
            length = cells.usable(0, number)
            assert length == max(at for at in range(number + 1) if right(held, at, window))
            cells.remove(0, length)
            assert cells.next_position(0) == length
        length = cells.next_position(0)
        assert right(set(cells.positions[0].tolist()), length, window)


@given(
    st.lists(st.one_of(st.none(), st.integers(1, 5)), min_size=1, max_size=3),
    st.lists(st.sets(st.integers(0, 19), min_size=1), min_size=3, max_size=3),
    st.integers(0, 22),
)
def test_usable_is_the_most_that_every_cache_is_right_for(
    windows: list[int | None], held: list[set[int]], length: int
) -> None:
    layouts = [Layout(f"c{at}", f"C{at}", 20, f"c{at}_", window) for at, window in enumerate(windows)]
    book = CacheBook(layouts, 1, {})
    for (_, cells), positions in zip(book._books, held, strict=False):
        cells.place(0, np.array(sorted(positions)))
    expected = max(
        at
        for at in range(length + 1)
        if all(right(positions, at, window) for window, positions in zip(windows, held, strict=False))
    )
    assert book.usable(0, length) == expected


def test_each_cache_has_its_own_rows_and_extent_in_the_steps_of_the_backend() -> None:
    layouts = [Layout("cache", "S", 40), Layout("window", "W", 6, "window_", 3)]
    book = CacheBook(layouts, 2, {"S": 8, "W": 4})
    for begin in range(0, 12, 3):
        inputs, dims = book.append(np.array([1]), np.arange(begin, begin + 3)[None])
    assert dims == {"S": 16, "W": 6}  # rounded up, but not above the cells that there are
    assert inputs["rows"].tolist() == [[9, 10, 11]]
    assert inputs["key_positions"].tolist() == [[*range(12), -1, -1, -1, -1]]
    assert inputs["window_rows"].tolist() == [[3, 4, 5]]
    assert inputs["window_key_positions"].tolist() == [[6, 7, 8, 9, 10, 11]]
    assert (book.length(0), book.length(1)) == (0, 12)


def test_a_slide_turns_the_keys_of_every_cache() -> None:
    book = CacheBook([Layout("cache", "S", 8), Layout("window", "W", 4, "window_", 2)], 1, {})
    for at in range(8):
        book.append(np.array([0]), np.array([[at]]))
    turn = book.slide(0, keep=2, discard=4)
    assert turn is not None
    inputs, dims = turn
    assert dims == {"N": 1, "S": 8, "W": 4}
    assert inputs["delta"].tolist() == [[0, 0, 0, 0, 0, 0, -4, -4]]
    assert inputs["window_delta"].tolist() == [[0, 0, -4, -4]]
    assert book.usable(0, 4) == 4
    assert book.usable(0, 3) == 0
    assert book.slide(0, keep=2, discard=2) is None
    assert book.usable(0, 2) == 0
