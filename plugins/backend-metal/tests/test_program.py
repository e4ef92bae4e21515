"""Programs, walked and compiled: weights, states, threads, and what is given back."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from ollamax.backend import BackendOptions, Weight
from ollamax.errors import BackendError
from ollamax.ml import Graph, Kind
from ollamax.ml.dtype import quantize
from ollamax.ml.nn.rope import Rope
from ollamax.ml.tensor import graph_input, state, state_read, state_write
from ollamax.testing.page_case import check_pages
from ollamax.testing.state_suite import cache_program, put
from ollamax.testing.weight_suite import linear_graph
from ollamax.types import DType
from ollamax_backend_cpu.backend import CPU
from ollamax_backend_metal.backend import Metal

pytestmark = pytest.mark.usefixtures("form")


@pytest.mark.parametrize("dtype", [DType.Q4_0, DType.F32])
def test_converted_weights_give_their_pages_back_and_are_counted(dtype: DType, tmp_path: Path) -> None:
    check_pages(Metal(), dtype, tmp_path)


@pytest.mark.parametrize("dtype", [DType.F32, DType.F16, DType.Q8_0])
def test_a_write_needs_no_second_copy_of_a_state(dtype: DType) -> None:
    """MLX writes where the older version lies, as soon as nobody holds that."""
    backend = Metal(BackendOptions(cache_type=dtype))
    slots, rows = graph_input("slots", ("N",), bound=2), graph_input("rows", ("N", "T"), bound="S")
    held = state_write(state("s", (2, 4096, 8, 64)), slots, rows, graph_input("values", ("N", "T", 8, 64), Kind.FLOAT))
    program = backend.compile(Graph({"out": state_read(held, slots, cells=2)}))
    inputs = {"slots": np.array([1]), "rows": np.array([[1]]), "values": np.ones((1, 1, 8, 64), np.float32)}
    program.run(inputs, {"N": 1, "T": 1, "S": 4})
    kept = sum(part.nbytes for part in backend.states.find("s").version)
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    program.run(inputs, {"N": 1, "T": 1, "S": 4})
    assert mx.get_peak_memory() - before < kept / 4
    assert backend.read_state("s", 1)[:3, 0, 0].round(2).tolist() == [0, 1, 0]
    backend.close()


def test_a_state_of_a_step_that_failed_is_lost_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Metal()
    program = cache_program(backend)
    put(program, [0], [[0]], 4)

    def fail(arrays: object) -> None:
        raise RuntimeError("out of memory\nfor a buffer")

    with monkeypatch.context() as patch:
        patch.setattr("ollamax_backend_metal.device.mx.eval", fail)
        with pytest.raises(BackendError, match="graph failed: out of memory for a buffer"):
            put(program, [0], [[1]], 4)
    with pytest.raises(BackendError, match="state 's' was lost when a step failed; load the model again"):
        put(program, [0], [[1]], 4)
    backend.close()


def test_other_threads_may_run_a_program() -> None:
    """MLX's streams belong to threads; what a run leaves behind is evaluated, and so belongs to all of them."""
    backend = Metal()
    program = cache_program(backend)
    put(program, [0], [[0]], 4, value=3.0)
    with ThreadPoolExecutor(1) as other:
        assert other.submit(put, program, [0], [[1]], 4, 5.0).result()[0, :, 0, 0].tolist() == [3, 5, 0, 0]
        other.submit(backend.copy_rows, 0, 1, np.array([1])).result()
    assert backend.read_state("s", 1)[:, 0, 0].tolist() == [0, 5, 0, 0, 0, 0, 0, 0]
    assert put(program, [0], [[2]], 4, value=7.0)[0, :, 0, 0].tolist() == [3, 5, 7, 0]
    backend.close()


def test_closing_gives_the_memory_back() -> None:
    before = mx.get_active_memory()
    backend = Metal()
    values = np.zeros((512, 512), np.float32)
    backend.load({"w": Weight("w", DType.F32, values.shape, quantize(values, DType.F32))})
    program = backend.compile(linear_graph(512, 512, DType.F32))
    program.run({"x": np.ones((1, 512), np.float32)}, {"T": 1})
    put(cache_program(backend), [0], [[0]], 4)
    assert mx.get_active_memory() - before > values.nbytes
    backend.close()
    assert mx.get_active_memory() == before
    assert mx.get_cache_memory() == 0
    del program


@pytest.mark.parametrize("scale", [1.0, 1 / 3], ids=["periods", "table"])
def test_late_positions_are_turned_by_the_definition_s_own_frequencies(scale: float) -> None:
    """With a scale of 1/3 a period's reciprocal is another number, which shows a million positions on."""
    x, positions = graph_input("x", ("N", "T", 2, 64), Kind.FLOAT), graph_input("positions", ("N", "T"))
    graph = Graph({"out": Rope(10000.0, 64, "halves", scale=scale)(x, positions)})
    given = np.random.default_rng(0).normal(size=(1, 3, 2, 64)).astype(np.float32)
    inputs = {"x": given, "positions": np.array([[0, 999_983, 1_000_003]])}
    found, expected = (backend.compile(graph).run(inputs, {"N": 1, "T": 3})["out"] for backend in (Metal(), CPU()))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
