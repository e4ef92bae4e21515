"""The NumPy backend's states, options, bounds and errors."""

import numpy as np
import pytest
import threadpoolctl

from ollamax.backend import BackendOptions, Program, Weight
from ollamax.errors import BackendError
from ollamax.ml import Graph, Kind
from ollamax.ml.tensor import graph_input, state, state_read, state_write, weight
from ollamax.types import DType, TensorInfo
from ollamax_backend_cpu.backend import CPU


def cache_program(backend: CPU) -> Program:
    slots, rows = graph_input("slots", ("N",), bound=3), graph_input("rows", ("N", "T"), bound="S")
    values = graph_input("values", ("N", "T", 2, 4), Kind.FLOAT)
    held = state_write(state("s", (3, 8, 2, 4)), slots, rows, values)
    return backend.compile(Graph({"out": state_read(held, slots)}))


def put(program: Program, slots: list[int], rows: list[list[int]], cells: int, value: float = 1.0) -> np.ndarray:
    inputs = {"slots": np.array(slots), "rows": np.array(rows)}
    inputs["values"] = np.full((*inputs["rows"].shape, 2, 4), value, np.float32)
    dims = {"N": len(slots), "T": len(rows[0]), "S": cells}
    return program.run(inputs, dims)["out"]


def test_state_outlives_a_run_and_is_shared_by_programs() -> None:
    backend = CPU()
    put(cache_program(backend), [0, 2], [[1], [3]], 4, value=5.0)
    out = put(cache_program(backend), [0, 2], [[0], [0]], 4, value=7.0)
    assert out[0, :, 0, 0].tolist() == [7, 5, 0, 0]
    assert out[1, :, 0, 0].tolist() == [7, 0, 0, 5]


def test_a_product_reads_float32_and_seconds_are_not_counted() -> None:
    backend = CPU()
    assert backend.read_bytes(TensorInfo("w", DType.Q8_0, (3, 32))) == 3 * 32 * 4
    assert backend.compute_seconds is None


def test_rows_are_copied_read_and_replaced() -> None:
    backend = CPU()
    put(cache_program(backend), [0], [[2, 3]], 4, value=5.0)
    backend.copy_rows(0, 1, np.array([3]))
    assert backend.read_state("s", 1)[:, 1, 1].tolist() == [0, 0, 0, 5, 0, 0, 0, 0]
    backend.write_state("s", 1, np.ones((8, 2, 4), np.float32))
    assert backend.read_state("s", 1).sum() == 64
    assert backend.read_state("s", 0).sum() == 80
    with pytest.raises(BackendError, match="takes"):
        backend.write_state("s", 1, np.ones((8, 4, 2), np.float32))
    with pytest.raises(BackendError, match="no state 't'; there are: s"):
        backend.read_state("t", 0)


def test_outputs_are_copies() -> None:
    backend = CPU()
    program = cache_program(backend)
    out = put(program, [0], [[0]], 4)
    out[:] = 99
    assert backend.read_state("s", 0).max() == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slots": np.array([3])}, "'slots' holds 3, expected 0 to 2"),
        ({"rows": np.array([[4]])}, "'rows' holds 4, expected 0 to 3"),
        ({"rows": np.array([[-1]])}, "'rows' holds -1"),
        ({"rows": np.array([0])}, "has shape"),
    ],
)
def test_bad_inputs_never_reach_a_kernel(change: dict[str, np.ndarray], message: str) -> None:
    inputs = {"slots": np.array([0]), "rows": np.array([[0]]), "values": np.ones((1, 1, 2, 4), np.float32)}
    program = cache_program(CPU())
    with pytest.raises(BackendError, match=message):
        program.run({**inputs, **change}, {"N": 1, "T": 1, "S": 4})
    with pytest.raises(BackendError, match="'rows' is missing"):
        program.run({"slots": inputs["slots"]}, {"N": 1, "T": 1, "S": 4})
    with pytest.raises(BackendError, match="dimension S"):
        program.run(inputs, {"N": 1, "T": 1})


def test_a_weight_that_was_not_loaded_is_named() -> None:
    with pytest.raises(BackendError, match="'w' was not loaded"):
        CPU().compile(Graph({"out": weight("w", (2, 2)) + 1.0}))


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"}


def test_progress_counts_the_bytes_of_all_weights_so_far() -> None:
    def stored(name: str, rows: int) -> Weight:
        return Weight(name, DType.F32, (rows, 4), np.zeros(rows * 16, np.uint8), mapped=False)

    done: list[int] = []
    backend = CPU()
    backend.load({"a": stored("a", 2), "b": stored("b", 3)}, done.append)
    backend.compile(Graph({name: weight(name, (rows, 4)) + 1.0 for name, rows in (("a", 2), ("b", 3))}))
    backend.close()
    assert done == [32, 80]


def test_threads_option_limits_blas_until_close() -> None:
    before = blas_threads()
    backend = CPU(BackendOptions(threads=3))
    backend.load({})
    assert blas_threads() == {3}
    backend.close()
    assert blas_threads() == before


def test_a_small_model_runs_on_one_thread() -> None:
    before = blas_threads()
    backend = CPU()
    backend.load({"w": Weight("w", DType.F32, (2, 2), np.zeros(16, np.uint8), mapped=False)})
    assert blas_threads() == {1}
    backend.close()
    assert blas_threads() == before


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_models_keep_their_threads_and_leave_none_behind(order: tuple[int, int]) -> None:
    before = blas_threads()
    backends = [CPU(BackendOptions(threads=count)) for count in (1, 3)]
    programs = []
    for backend in backends:
        backend.load({})
        programs.append(cache_program(backend))
    for count, program in ((1, programs[0]), (3, programs[1]), (1, programs[0])):
        put(program, [0], [[0]], 4)
        assert blas_threads() == {count}
    first, second = order
    backends[first].close()
    backends[first].close()
    put(programs[second], [0], [[0]], 4)
    assert blas_threads() == {(1, 3)[second]}
    backends[second].close()
    assert blas_threads() == before


def test_probe_finds_the_processor() -> None:
    (device,) = CPU.probe().devices
    assert device.kind
    assert device.memory is None or device.memory > 2**20


def test_its_device_may_be_named_and_no_other() -> None:
    assert CPU(BackendOptions(device="cpu")).options.device == "cpu"
    with pytest.raises(BackendError, match="backend cpu has no device 'gpu'; it has: cpu"):
        CPU(BackendOptions(device="gpu"))
