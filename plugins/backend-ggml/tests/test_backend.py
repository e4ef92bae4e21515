"""The ggml backend's states, weights, options, bounds and errors."""

import gc
import mmap
from pathlib import Path

import numpy as np
import pytest

from ollamax.backend import BackendOptions, Weight
from ollamax.errors import BackendError
from ollamax.ml import Graph, Kind, Op
from ollamax.ml.dtype import quantize
from ollamax.ml.tensor import apply, graph_input, optional, state, state_read, weight
from ollamax.testing.page_case import check_pages
from ollamax.testing.state_suite import cache_program, put
from ollamax.testing.weight_cases import WIDTH, random_weight
from ollamax.testing.weight_suite import linear_graph
from ollamax.types import DType
from ollamax_backend_ggml import memory
from ollamax_backend_ggml.backend import GGML
from ollamax_backend_ggml.memory import zeros


def run_linear(backend: GGML, stored: Weight) -> np.ndarray:
    backend.load({"w": stored})
    program = backend.compile(linear_graph(*stored.shape, stored.dtype))
    return program.run({"x": np.eye(2, stored.shape[1], dtype=np.float32)}, {"T": 2})["out"]


@pytest.mark.parametrize("shift", [0, 1, 16])
@pytest.mark.parametrize("dtype", [DType.F32, DType.Q8_0])
def test_weights_lie_where_they_are_wherever_that_is(tmp_path: Path, shift: int, dtype: DType) -> None:
    """In a mapped file, aligned or not; what the library cannot use there it gets as a copy."""
    values = np.random.default_rng(0).integers(-9, 9, (16, 64)).astype(np.float32)
    (tmp_path / "file").write_bytes(bytes(shift) + quantize(values, dtype).tobytes())
    with (tmp_path / "file").open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    data = np.frombuffer(mapped, np.uint8)[shift:]
    backend = GGML()
    out = run_linear(backend, Weight("w", dtype, values.shape, data))
    np.testing.assert_allclose(out, values[:, :2].T, atol=0.2 if dtype is DType.Q8_0 else 0)
    held = backend._residents._held[0]
    assert (held.ctypes.data == data.ctypes.data) is (shift == 0)
    backend.close()


def test_packed_weights_give_their_pages_back_and_are_counted(tmp_path: Path) -> None:
    probe = GGML()  # not every processor has a packed form of the type
    probe.load({"w": random_weight(DType.Q4_0, 64)})
    probe.compile(linear_graph(64, WIDTH, DType.Q4_0))
    packs = "w" in probe._weights._matrices
    probe.close()
    check_pages(GGML(), DType.Q4_0, tmp_path, converts=packs)


def test_what_does_not_fit_is_refused_with_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = Weight("w", DType.F32, (4096, 1024), np.zeros(16 * 2**20 + 1, np.uint8)[1:])
    monkeypatch.setattr(memory, "available_memory", lambda: 70 * 10**6)
    backend = GGML()
    backend.load({"w": stored})
    with pytest.raises(BackendError, match=r"needs 17 MB \(weights 17 MB\) and 3 MB are free; take a smaller num_ctx"):
        backend.compile(linear_graph(4096, 1024, DType.F32))
    held = state_read(state("s", (4, 10**6, 2, 64)), graph_input("slots", ("N",), bound=4))
    with pytest.raises(BackendError, match=r"\(cache 2,048 MB\)"):
        backend.compile(Graph({"out": held}))
    with pytest.raises(BackendError, match="no state 's'"):
        backend.read_state("s", 0)
    program = backend.compile(Graph({"out": apply(Op.EXP, graph_input("x", ("T", 1024), Kind.FLOAT))}))
    with pytest.raises(BackendError, match=r"\(one step 4 MB\) and 3 MB are free"):
        program.run({"x": np.zeros((1024, 1024), np.float32)}, {"T": 1024})
    with pytest.raises(BackendError, match=r"\(one step 8 MB\)"):
        program.reserve({"T": 2048})
    assert program.run({"x": np.zeros((1, 1024), np.float32)}, {"T": 1})["out"].sum() == 1024
    backend.close()


def test_weights_cache_and_steps_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that the system still calls free: pages of a file, and cells that no token has."""
    stored = Weight("w", DType.F32, (1024, 4096), zeros(16 * 2**20))
    monkeypatch.setattr(memory, "available_memory", lambda: 160 * 10**6)
    x, slots = graph_input("x", ("T", 4096), Kind.FLOAT), graph_input("slots", ("N",), bound=4)
    product = optional(Op.LINEAR, x, weight("w", stored.shape, stored.dtype), extra={})
    held = state_read(state("s", (4, 5 * 10**4, 1, 64)), slots)
    backend = GGML()
    backend.load({"w": stored})
    with pytest.raises(BackendError, match=r"needs 222 MB \(weights 17 MB, cache 205 MB\) and 93 MB are free"):
        backend.compile(Graph({"out": product, "held": state_read(state("t", (4, 2 * 10**5, 1, 64)), slots)}))
    program = backend.compile(Graph({"out": product, "held": held}))
    with pytest.raises(BackendError, match=r"\(weights 17 MB, cache 51 MB, one step [0-9]+ MB\) and 93 MB are free"):
        program.run({"x": np.zeros((8000, 4096), np.float32), "slots": np.array([0])}, {"T": 8000, "N": 1, "S": 1})
    backend.compile(Graph({"out": product + 1.0}))  # the same weights once more
    with pytest.raises(BackendError, match=r"\(weights 17 MB, cache 102 MB\)"):
        backend.compile(Graph({"out": state_read(state("u", (4, 5 * 10**4, 1, 64)), slots)}))
    backend.close()


@pytest.mark.parametrize("threads", [0, 513])
def test_a_bad_number_of_threads_is_refused(threads: int) -> None:
    with pytest.raises(BackendError, match=f"num_thread is {threads}, expected 1 to 512"):
        GGML(BackendOptions(threads=threads))


def test_memory_that_grows_leaves_no_graph_behind() -> None:
    """A larger step moves the memory that smaller graphs were planned in."""
    backend = GGML()
    x = graph_input("x", ("T", 64), Kind.FLOAT)
    program = backend.compile(Graph({"out": apply(Op.SIN, apply(Op.EXP, x)) + apply(Op.COS, x)}))
    for size in (3, 4, 200, 3, 4, 5000, 200, 4, 3):
        value = np.random.default_rng(size).normal(size=(size, 64)).astype(np.float32)
        found = program.run({"x": value}, {"T": size})["out"]
        np.testing.assert_allclose(found, np.sin(np.exp(value)) + np.cos(value), atol=1e-5)
    backend.close()


def test_memory_that_was_reserved_does_not_move() -> None:
    backend = GGML()
    program = cache_program(backend)
    put(program, [1], [[0]], 4, value=3.0)
    program.reserve({"N": 2, "T": 8, "S": 8})
    reserved = backend._scratch.generation
    put(program, [0, 2], [list(range(8))] * 2, 8)
    put(program, [1], [[1]], 4)
    assert backend._scratch.generation == reserved
    assert backend.read_state("s", 1)[:2, 0, 0].tolist() == [3, 1]
    backend.close()


def test_two_programs_of_one_size_do_not_share_places() -> None:
    """The same number of nodes, connected in another way."""
    backend = GGML()
    x = graph_input("x", ("T", 8), Kind.FLOAT)
    square = apply(Op.EXP, x)
    one = backend.compile(Graph({"out": apply(Op.SIN, square) * square}))
    other = backend.compile(Graph({"out": apply(Op.SIN, square) * x}))
    value = np.linspace(-1, 1, 24, dtype=np.float32).reshape(3, 8)
    for _ in range(2):
        for program, factor in ((one, np.exp(value)), (other, value)):
            found = program.run({"x": value}, {"T": 3})["out"]
            np.testing.assert_allclose(found, np.sin(np.exp(value)) * factor, rtol=1e-5)
    backend.close()


def test_the_oldest_graphs_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ollamax_backend_ggml.program.MOST_BUCKETS", 2)
    backend = GGML()
    program = backend.compile(Graph({"out": apply(Op.EXP, graph_input("x", ("T",), Kind.FLOAT))}))
    for size in (9, 1, 2, 3, 1):
        assert program.run({"x": np.zeros(size, np.float32)}, {"T": size})["out"].sum() == size
    assert [key[0] for key in program._buckets] == [3, 1]  # type: ignore[attr-defined]
    backend.close()


def test_a_backend_that_nobody_closed_gives_its_memory_back() -> None:
    backend = GGML()
    put(cache_program(backend), [0], [[0]], 4)
    freed = backend._residents._free
    assert freed.alive
    del backend
    gc.collect()
    assert not freed.alive
