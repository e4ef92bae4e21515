"""Graphs with parts in common: one session for each part, and the results of the whole graphs."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ollamax.backend import BackendOptions, Weight
from ollamax.ml import Graph, Kind, Op, Tensor
from ollamax.ml.dtype import quantize
from ollamax.ml.reference import evaluate
from ollamax.ml.tensor import apply, graph_input, optional, state, state_read, state_write, weight
from ollamax.types import DType
from ollamax_backend_onnx.backend import ONNX
from ollamax_backend_onnx.pieces import Pieces
from ollamax_backend_onnx.stages import Stages

WIDTH = 32
DIMS = {"N": 1, "T": 2, "S": 4}
GIVEN = {
    "x": np.random.default_rng(0).normal(size=(1, 2, WIDTH)).astype(np.float32),
    "slots": np.array([0]),
    "rows": np.array([[2, 0]]),
}


def values(name: str) -> np.ndarray:
    return np.random.default_rng(list(name.encode())).normal(size=(WIDTH, WIDTH)).astype(np.float32) / 8


def product(x: Tensor, name: str) -> Tensor:
    return optional(Op.LINEAR, x, weight(name, (WIDTH, WIDTH)), extra={})


def graph(names: str) -> Graph:
    """A block for each name, which adds what it keeps, and the product with ``h``."""
    inputs = graph_input("slots", ("N",), bound=1), graph_input("rows", ("N", "T"), bound="S")
    x = graph_input("x", ("N", "T", WIDTH), Kind.FLOAT)
    everywhere = apply(Op.EXP, x)
    value = product(x, "i")
    for name in names:
        made = product(apply(Op.TANH, value), name) * everywhere
        held = state_write(state(f"state.{name}", (1, 8, WIDTH)), *inputs, made)
        value = value + state_read(held, inputs[0]).sum(1)
    return Graph({"out": product(value, "h"), "light": everywhere})


def loaded(dtype: DType = DType.F32, options: BackendOptions | None = None) -> ONNX:
    backend = ONNX(options)
    stored = {name: quantize(values(name), dtype).reshape(-1).view(np.uint8) for name in "abcdefghi"}
    backend.load({name: Weight(name, dtype, (WIDTH, WIDTH), data) for name, data in stored.items()})
    return backend


@pytest.fixture
def backend() -> Iterator[ONNX]:
    backend = loaded()
    yield backend
    backend.close()


def programs(backend: ONNX) -> list[str]:
    return sorted("".join(program.graph.weights) for program in backend._programs)


def check(backend: ONNX, *sequences: str) -> None:
    """All of them as the reference computes them, over the same states."""
    graphs = [graph(names) for names in sequences]
    backend.prepare(graphs)
    compiled = [backend.compile(one) for one in graphs]
    weights, states = {name: values(name) for name in "abcdefghi"}, dict[str, np.ndarray]()
    for _ in range(2):
        for one, program in zip(graphs, compiled, strict=True):
            expected = evaluate(one, GIVEN, DIMS, weights, states)
            for name, found in program.run(GIVEN, DIMS).items():
                np.testing.assert_allclose(found, expected[name], rtol=1e-4, atol=1e-5)


def test_a_graph_alone_is_one_session(backend: ONNX) -> None:
    check(backend, "abcd")
    assert programs(backend) == ["iabcdh"]


def test_what_two_graphs_share_is_held_once(backend: ONNX) -> None:
    check(backend, "abcd", "abecd", "abgcfd")
    assert programs(backend) == ["c", "dh", "e", "f", "g", "iab"]


@pytest.mark.parametrize(
    ("dtype", "cache", "keep"),
    [(DType.Q4_0, DType.F16, True), (DType.Q4_1, DType.Q8_0, True), (DType.Q8_0, DType.Q8_0, False)],
)
def test_weights_in_blocks_and_small_caches_are_those_of_whole_graphs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: DType, cache: DType, keep: bool
) -> None:
    monkeypatch.setattr("ollamax_backend_onnx.builder._INLINE", 64)  # so that weights lie outside of the models
    graphs, options = [graph("abcd"), graph("abecd")], BackendOptions(cache_type=cache, keep=tmp_path if keep else None)
    cut, whole = loaded(dtype, options), loaded(dtype, options)
    cut.prepare(graphs)
    pairs = [(cut.compile(one), whole.compile(one)) for one in graphs]
    assert programs(cut) == ["cdh", "e", "iab"]
    assert len(programs(whole)) == 2
    for one, other in pairs * 2:
        expected = other.run(GIVEN, DIMS)
        for name, found in one.run(GIVEN, DIMS).items():
            np.testing.assert_allclose(found, expected[name], rtol=1e-5, atol=1e-6)
    cut.close()
    whole.close()


@pytest.mark.parametrize(
    ("large", "most", "expected"),
    [
        (2, 4, ["bc", "dh", "ia"]),
        (1, 2, ["cdh", "iab"]),
        (1, 9, ["a", "b", "c", "d", "h", "i"]),
        (4, 4, ["iabcdh"]),
    ],
)
def test_a_large_graph_is_cut_into_even_parts(
    backend: ONNX, monkeypatch: pytest.MonkeyPatch, large: int, most: int, expected: list[str]
) -> None:
    monkeypatch.setattr("ollamax_backend_onnx.stages._LARGE", large * WIDTH * WIDTH)
    monkeypatch.setattr("ollamax_backend_onnx.stages._MOST", most)
    check(backend, "abcd")
    assert programs(backend) == expected


def test_what_comes_after_the_last_product_belongs_to_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    last = product(product(graph_input("x", ("N", "T", WIDTH), Kind.FLOAT), "a"), "b") * weight("scale", (WIDTH,))
    one = Graph({"out": last})
    assert [stage.graph for stage in Stages().of(one)] == [one]
    monkeypatch.setattr("ollamax_backend_onnx.stages._LARGE", WIDTH * WIDTH)
    assert ["".join(stage.graph.weights) for stage in Stages().of(one)] == ["a", "bscale"]


def test_a_matrix_of_unknown_size_is_no_weight() -> None:
    x, matrix = (graph_input(name, (size, WIDTH), Kind.FLOAT) for name, size in (("x", "T"), ("m", "S")))
    one = Graph({"out": optional(Op.LINEAR, x, matrix, extra={})})
    backend = ONNX()
    given = {"x": np.ones((2, WIDTH), np.float32), "m": np.ones((3, WIDTH), np.float32)}
    assert (backend.compile(one).run(given, {"T": 2, "S": 3})["out"] == WIDTH).all()
    backend.close()


def test_large_parts_that_graphs_share_are_cut_in_both(backend: ONNX, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ollamax_backend_onnx.stages._LARGE", 2 * WIDTH * WIDTH)
    check(backend, "abcd", "abcged")
    assert programs(backend) == ["bc", "dh", "ge", "ia"]


def test_graphs_without_common_products_are_one_session_each() -> None:
    one, other = (Graph({"out": product(graph_input("x", ("N", "T", WIDTH), Kind.FLOAT), name)}) for name in "ab")
    assert [[stage.graph for stage in Stages([one, other]).of(graph)] for graph in (one, other)] == [[one], [other]]


def test_parts_in_another_order_are_right_too(backend: ONNX) -> None:
    check(backend, "abc", "cba")


def test_a_graph_that_was_not_announced_is_one_session(backend: ONNX) -> None:
    check(backend, "ab", "aeb")
    backend.compile(graph("abc"))
    assert programs(backend) == ["bh", "e", "ia", "iabch"]


def test_a_state_is_not_cut_between_its_versions() -> None:
    """What a later node reads of an older version would be gone once a stage has written it."""
    inputs = graph_input("slots", ("N",), bound=1), graph_input("rows", ("N", "T"), bound="S")
    x, held = graph_input("x", ("N", "T", WIDTH), Kind.FLOAT), state("s", (1, 8, WIDTH))

    first = product(product(x, "a"), "b")
    written = first + state_read(state_write(held, *inputs, first), inputs[0]).sum(1)
    late = product(product(written, "c") + state_read(held, inputs[0]).sum(1), "d")
    pieces = Pieces(Graph({"out": product(late, "e")}))
    parts = [pieces.part(at, at + 1) for at in range(len(pieces.keys))]
    assert ["".join(part.weights) for part in parts] == ["a", "b", "c", "d", "e"]
    assert [list(part.states) for part in parts] == [[], [], ["s"], [], []]


@pytest.mark.parametrize("change", ["weight", "attribute", "output"])
def test_pieces_are_equal_only_if_they_compute_the_same(change: str) -> None:
    def keys(name: str, window: float, output: str) -> list[bytes]:
        x = graph_input("x", ("N", "T", WIDTH), Kind.FLOAT)
        normed = optional(Op.RMS_NORM, x, extra={"weight": weight("norm", (WIDTH,))}, eps=window)
        return Pieces(Graph({output: optional(Op.LINEAR, normed, weight(name, (WIDTH, WIDTH)), extra={})})).keys

    base = {"name": "a", "window": 1e-5, "output": "out"}
    other = {"weight": {"name": "b"}, "attribute": {"window": 1e-6}, "output": {"output": "logits"}}[change]
    assert keys(**base) == keys(**base)
    assert keys(**base) != keys(**{**base, **other})


def test_stages_of_a_graph_that_nobody_announced_is_the_graph() -> None:
    one = graph("ab")
    assert [stage.graph for stage in Stages().of(one)] == [one]


def test_weights_that_are_loaded_later_are_those_of_later_programs(backend: ONNX) -> None:
    graphs = [graph("ab"), graph("aeb")]
    backend.prepare(graphs)
    before = backend.compile(graphs[0]).run(GIVEN, DIMS)["out"]
    twice = {
        name: Weight(name, DType.F32, (WIDTH, WIDTH), (2 * values(name)).reshape(-1).view(np.uint8)) for name in "iabeh"
    }
    backend.load(twice)
    assert np.abs(backend.compile(graphs[0]).run(GIVEN, DIMS)["out"] - before).max() > 0.1 * np.abs(before).max()
