"""The cache's book: which position each cell holds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamax.errors import ContextFullError
from ollamax.kvcache.cells import Cells


def put(cells: Cells, slot: int, count: int) -> list[int]:
    start = cells.next_position(slot)
    return cells.place(slot, np.arange(start, start + count)).tolist()


def test_new_tokens_take_the_next_positions_in_free_cells() -> None:
    cells = Cells(2, 8)
    assert put(cells, 0, 3) == [0, 1, 2]
    assert put(cells, 1, 1) == [0]
    cells.remove(0, 1, 2)
    assert put(cells, 0, 2) == [1, 3]
    assert cells.positions[0, :4].tolist() == [0, 3, 2, 4]
    assert (cells.next_position(0), cells.next_position(1)) == (5, 1)


def test_extent_is_one_more_than_the_highest_cell_in_use() -> None:
    cells = Cells(3, 8)
    assert cells.extent(np.array([0, 1])) == 0
    put(cells, 0, 3)
    put(cells, 1, 5)
    assert cells.extent(np.array([0])) == 3
    assert cells.extent(np.array([0, 1, 2])) == 5


def test_a_full_slot_is_an_error_and_takes_nothing() -> None:
    cells = Cells(1, 4)
    put(cells, 0, 3)
    with pytest.raises(ContextFullError, match="room for 1 more tokens, not 2"):
        put(cells, 0, 2)
    assert cells.positions[0].tolist() == [0, 1, 2, -1]


def test_move_closes_a_gap_and_tells_each_cells_change() -> None:
    cells = Cells(1, 6)
    put(cells, 0, 6)
    cells.remove(0, 1, 4)
    assert cells.move(0, 4, -3).tolist() == [0, 0, 0, 0, -3, -3]
    assert cells.positions[0].tolist() == [0, -1, -1, -1, 1, 2]


def test_copy_takes_a_prefix_wherever_it_lies() -> None:
    cells = Cells(2, 6)
    put(cells, 0, 4)
    cells.remove(0, 1, 2)
    put(cells, 1, 5)
    assert cells.copy(0, 1, 3).tolist() == [0, 2]
    assert cells.positions[1].tolist() == [0, -1, 2, -1, -1, -1]


@given(st.lists(st.tuples(st.sampled_from(["put", "remove", "cut"]), st.integers(0, 9), st.integers(1, 5))))
def test_positions_stay_distinct(steps: list[tuple[str, int, int]]) -> None:
    cells, held = Cells(1, 16), set[int]()
    for action, begin, count in steps:
        if action == "put":
            start = max(held, default=-1) + 1
            if len(held) + count > 16:
                with pytest.raises(ContextFullError):
                    put(cells, 0, count)
            else:
                put(cells, 0, count)
                held |= set(range(start, start + count))
        else:
            end = begin + count if action == "remove" else None
            cells.remove(0, begin, end)
            held = {at for at in held if at < begin or (end is not None and at >= end)}
        found = cells.positions[0][cells.positions[0] >= 0].tolist()
        assert sorted(found) == sorted(held)
