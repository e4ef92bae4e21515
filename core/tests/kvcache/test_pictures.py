"""The book of pictures, and the mask that it gives through the encoder cache."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ollamax.kvcache import EncoderCache
from ollamax.kvcache.pictures import FOREVER, PictureBook, View
from ollamax.ml import Graph
from ollamax.ml.reference import evaluate
from ollamax.ml.tensor import graph_input

ALL = np.array([True, True])
FIRST = np.array([True, False])


def visible(book: PictureBook, slots: list[int], positions: list[list[int]]) -> np.ndarray:
    """What the traced mask makes of the book's inputs: ``(N, T, E)``."""
    cache = EncoderCache(1, 1, 1, 1, slots=4, cells=8, picture_cells=2)
    where = np.array(positions)
    graph = Graph({"mask": cache.mask(graph_input("positions", ("N", "T")))})
    cells = book.extent(slots)
    inputs = {"positions": where, **book.inputs(slots, where, cells)}
    return evaluate(graph, inputs, {"N": len(slots), "T": where.shape[1], "E": cells}, {})["mask"]


def rows(mask: np.ndarray) -> list[str]:
    return ["".join("x" if seen else "." for seen in row) for row in mask]


def test_a_token_sees_the_visible_cells_of_its_pictures() -> None:
    book = PictureBook(1, 2)
    book.show(0, [View(2, 4, FIRST), View(4, FOREVER, ALL)])
    mask = visible(book, [0], [[2, 3, 4, 100]])
    assert rows(mask[0]) == ["x...", "x...", "..xx", "..xx"]


def test_a_token_before_all_pictures_looks_at_every_cell_even_padding() -> None:
    book = PictureBook(1, 2)
    book.show(0, [View(2, 4, FIRST)])
    assert rows(visible(book, [0], [[0, 2, 4]])[0]) == ["xx", "x.", "xx"]


def test_sequences_with_fewer_pictures_see_nothing_of_cells_not_in_use() -> None:
    book = PictureBook(3, 2)
    book.show(0, [View(0, FOREVER, ALL), View(0, FOREVER, ALL)])
    book.show(2, [View(1, FOREVER, ALL)])
    mask = visible(book, [0, 1, 2], [[0, 1], [0, 1], [0, 1]])
    assert [rows(each) for each in mask] == [["xxxx", "xxxx"], ["....", "...."], ["xx..", "xx.."]]
    inputs = book.inputs([0, 1, 2], np.array([[0, 1]] * 3), 4)
    assert inputs["has_picture"].tolist() == [True, False, True]
    assert inputs["blind"].tolist() == [[False, False], [True, True], [True, False]]


def test_pictures_of_another_sequence_are_copied_and_replaced() -> None:
    book = PictureBook(2, 2)
    book.show(0, [View(3, FOREVER, ALL)])
    book.copy(0, 1)
    book.show(0, [])
    assert (book.count(0), book.count(1)) == (0, 1)
    assert book.extent([0, 1]) == 2


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 20), st.integers(1, 20))
def test_tokens_that_move_down_see_what_they_saw(begin: int, length: int, keep: int, discard: int) -> None:
    book = PictureBook(1, 2)
    book.show(0, [View(begin, begin + length, ALL)])
    kept = [position for position in range(50) if position < keep or position >= keep + discard]
    moved = [position if position < keep else position - discard for position in kept]
    before = book.inputs([0], np.array([kept]), 2)["blind"]
    book.move(0, keep, discard)
    assert (book.inputs([0], np.array([moved]), 2)["blind"] == before).all()
