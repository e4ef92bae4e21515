"""What is compiled: runs whose sizes come again, for each thread apart, and never what takes values on the way."""

import threading
from collections.abc import Callable
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from ollamax.backend import Program, Weight
from ollamax.errors import BackendError
from ollamax.ml import Graph, Kind, Op
from ollamax.ml.dtype import quantize
from ollamax.ml.tensor import Tensor, apply, graph_input, weight
from ollamax.testing.weight_suite import linear_graph
from ollamax.types import DType
from ollamax_backend_metal.backend import Metal


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The functions that MLX was given to compile."""
    given, own = [], mx.compile

    def compile_and_note(function: Callable[..., Any]) -> Any:
        given.append(function)
        return own(function)

    monkeypatch.setenv("OLLAMAX_METAL_COMPILE", "1")
    monkeypatch.setattr("ollamax_backend_metal.forms.mx.compile", compile_and_note)
    return given


def doubled(backend: Metal) -> Callable[[int], list[float]]:
    """Runs a program that doubles a number of ones."""
    program = backend.compile(Graph({"out": graph_input("x", ("T",), Kind.FLOAT) * 2.0}))

    def run(count: int) -> list[float]:
        found: list[float] = program.run({"x": np.ones(count, np.float32)}, {"T": count})["out"].tolist()
        return found

    return run


def test_sizes_that_come_again_are_compiled_once(compiled: list[Any]) -> None:
    """The length of a prompt, which never comes again, costs no compilation."""
    backend = Metal()
    run, counted = doubled(backend), []
    for count in (1, 2, 1, 1, 3, 1, 2):
        assert run(count) == [2.0] * count
        counted.append(len(compiled))
    assert counted == [0, 0, 1, 1, 1, 1, 2]
    backend.close()


def test_the_functions_unused_for_longest_go(compiled: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ollamax_backend_metal.forms.MOST", 2)
    backend = Metal()
    run, counted = doubled(backend), []
    for count in (1, 1, 2, 2, 1, 3, 1, 1, 2, 2):
        assert run(count) == [2.0] * count
        counted.append(len(compiled))
    assert counted == [0, 1, 1, 2, 2, 2, 2, 2, 2, 3]
    backend.close()


def taking(backend: Metal, ids: Tensor) -> Program:
    """Takes elements of a table of three, whose element ``i`` is ``i``."""
    values = np.arange(3, dtype=np.float32)
    backend.load({"w": Weight("w", DType.F32, (3,), quantize(values, DType.F32))})
    return backend.compile(Graph({"out": apply(Op.TAKE, weight("w", (3,)), ids)}))


@pytest.mark.parametrize("bound", [None, 9, "S"])
def test_a_given_index_is_checked_at_every_run_of_a_compiled_program(
    compiled: list[Any], bound: int | str | None
) -> None:
    """Where core does not check it, or allows more than there is."""
    backend = Metal()
    program = taking(backend, graph_input("ids", ("T",), bound=bound))
    for _ in range(3):
        for ids in ([0, 2], [1, 1]):
            assert program.run({"ids": np.array(ids)}, {"T": 2, "S": 9})["out"].tolist() == ids
        with pytest.raises(BackendError, match="has the index 3, expected 0 to 2"):
            program.run({"ids": np.array([0, 3])}, {"T": 2, "S": 9})
    assert len(compiled) == 1
    backend.close()


def test_a_graph_that_computes_an_index_stays_a_walk(compiled: list[Any]) -> None:
    """Its value is seen at every run."""
    backend = Metal()
    program = taking(backend, graph_input("ids", ("T",), bound=9) + apply(Op.NEG, graph_input("less", ("T",), bound=9)))
    for _ in range(3):
        assert program.run({"ids": np.array([4]), "less": np.array([2])}, {"T": 1})["out"].tolist() == [2]
        for ids, bad in ((6, 4), (1, -1)):
            with pytest.raises(BackendError, match=f"has the index {bad}, expected 0 to 2"):
                program.run({"ids": np.array([ids]), "less": np.array([2])}, {"T": 1})
    assert not compiled
    backend.close()


def multiplying(backend: Metal) -> Program:
    """Multiplies with a matrix of 1 MiB."""
    values = np.random.default_rng(0).normal(size=(512, 512)).astype(np.float32)
    backend.load({"w": Weight("w", DType.F32, values.shape, quantize(values, DType.F32))})
    return backend.compile(linear_graph(512, 512, DType.F32))


def test_each_thread_compiles_for_itself_and_closing_takes_all_back(compiled: list[Any]) -> None:
    """A thread that is still there holds no weights of a backend that is closed."""
    before = mx.get_active_memory()
    backend, ran, may_end = Metal(), threading.Event(), threading.Event()
    program, inputs = multiplying(backend), {"x": np.ones((1, 512), np.float32)}
    found: list[Any] = []

    def run_and_wait() -> None:
        found.extend(program.run(inputs, {"T": 1})["out"] for _ in range(2))
        ran.set()
        may_end.wait()

    thread = threading.Thread(target=run_and_wait)
    thread.start()
    assert ran.wait(60)
    found += [program.run(inputs, {"T": 1})["out"] for _ in range(2)]
    assert len(compiled) == 2
    for result in found[1:]:
        np.testing.assert_array_equal(result, found[0])
    compiled.clear()
    backend.close()
    assert mx.get_active_memory() == before
    may_end.set()
    thread.join()


def test_a_compiled_program_has_no_weights_of_its_own(compiled: list[Any]) -> None:
    backend = Metal()
    program, inputs = multiplying(backend), {"x": np.ones((1, 512), np.float32)}
    before = mx.get_active_memory()
    for _ in range(3):
        program.run(inputs, {"T": 1})
    assert len(compiled) == 1
    assert mx.get_active_memory() - before < 2**20 / 8
    backend.close()
