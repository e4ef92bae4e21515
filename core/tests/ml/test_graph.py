"""Graphs: shapes, order, states, lowering and their errors."""

import pytest

from ollamax.errors import GraphError
from ollamax.ml import PRIMITIVES, Graph, Kind, Op, nn
from ollamax.ml.lower import lower
from ollamax.ml.shape import broadcast, concrete
from ollamax.ml.tensor import Tensor, apply, graph_input, optional, state, state_read, state_write, weight


def floats(*shape: int | str, name: str = "x") -> Tensor:
    return graph_input(name, shape, Kind.FLOAT)


def test_symbols_broadcast_with_themselves_and_one() -> None:
    assert broadcast(("N", "T", 1), (1, "T", 8)) == ("N", "T", 8)
    with pytest.raises(GraphError, match="do not broadcast"):
        broadcast(("T", 4), ("S", 4))


def test_a_symbol_without_a_value_is_named() -> None:
    with pytest.raises(GraphError, match="'S'"):
        concrete(("T", "S"), {"T": 1})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: floats("T", 4) @ floats("T", 4), "inner sizes 4 and T differ"),
        (lambda: optional(Op.LINEAR, floats("T", 4), weight("w", (3, 5)), extra={}), "the weight expects 5"),
        (lambda: floats("T", 6).reshape("T", 4), "another number of elements"),
        (lambda: floats("T", 6).slice(0, 0, 2), "must have a fixed size"),
        (lambda: floats("T", 6).slice(1, 2, 9), "outside an axis of 6"),
        (lambda: floats("T", 6).slice(3, 0, 1), "axis 3 is outside"),
        (lambda: floats("T", 6).transpose(0, 0), "no order of 2 axes"),
        (lambda: nn.Rope(1e4, 6, "halves")(floats(1, 2, 3, 4), floats(1, 2)), "do not fit the head"),
        (lambda: nn.attention(floats(1, 2, 3, 4), floats(1, 5, 2, 4), floats(1, 5, 2, 4)), "do not divide"),
        (lambda: apply(Op.EMBEDDING, weight("w", (3, 5)), floats("T")), "ids must be integers"),
        (lambda: apply(Op.WEIGHT), "is a leaf"),
        (lambda: state_write(floats(1, 2), floats(1), floats(1, 1), floats(1, 1)), "must be a state"),
    ],
)
def test_shapes_that_do_not_fit_are_named(build: object, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        build()  # type: ignore[operator]


def test_nodes_come_after_their_sources_however_deep() -> None:
    x = floats(2)
    deep = x
    for _ in range(5000):
        deep = deep + 1.0
    nodes = Graph({"out": deep}).nodes
    places = {node: place for place, node in enumerate(nodes)}
    assert all(places[src] < places[node] for node in nodes for src in node.srcs)
    assert len(nodes) == 10001


def test_users_and_dims() -> None:
    x = floats("T", 4)
    double = x + x
    graph = Graph({"out": double * x})
    assert graph.users[x] == [double, graph.outputs["out"]]
    assert graph.dims == {"T"}


def test_two_inputs_of_one_name_are_an_error() -> None:
    with pytest.raises(GraphError, match="two input nodes called 'x'"):
        _ = Graph({"out": floats(2) + floats(2)}).inputs


def test_a_state_is_written_at_most_once() -> None:
    held = state("s", (1, 4, 2))
    slots, rows = graph_input("slots", (1,)), graph_input("rows", (1, 1))
    once = state_write(held, slots, rows, floats(1, 1, 2))
    twice = state_write(once, slots, rows, floats(1, 1, 2))
    assert Graph({}, [once]).writes == {"s": once}
    with pytest.raises(GraphError, match="'s' twice"):
        Graph({"out": state_read(twice, slots, 4)})


def test_a_state_is_no_output() -> None:
    with pytest.raises(GraphError, match="output 'out' of graph is a state"):
        Graph({"out": state("s", (1, 4, 2))})


def test_lowering_keeps_what_the_backend_runs() -> None:
    x = floats("T", 4)
    graph = Graph({"out": nn.silu(nn.softmax(x))})
    assert lower(graph, [Op.SILU, Op.SOFTMAX]) is graph
    kept = lower(graph, PRIMITIVES | {Op.SOFTMAX})
    assert Op.SOFTMAX in {node.op for node in kept.nodes}
    assert Op.SILU not in {node.op for node in kept.nodes}


def test_lowering_names_every_op_that_is_left_over() -> None:
    x = floats("T", 4)
    graph = Graph({"out": nn.tanh(nn.softmax(x))}, name="tiny")
    with pytest.raises(GraphError, match="mine cannot run tiny: it lacks div, exp, tanh"):
        lower(graph, PRIMITIVES - {Op.TANH, Op.EXP, Op.DIV}, "mine")


def test_lowering_shares_what_was_shared() -> None:
    x = floats("T", 4)
    norm = optional(Op.RMS_NORM, x, extra={}, eps=1e-5)
    simple = lower(Graph({"a": norm + 1.0, "b": norm * 2.0}), PRIMITIVES)
    assert sum(node.op is Op.MEAN for node in simple.nodes) == 1
