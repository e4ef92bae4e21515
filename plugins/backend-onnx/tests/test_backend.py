"""The ONNX Runtime backend's states, weights, options, bounds and errors."""

import mmap
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ollamax.backend import BackendOptions, Program, Weight
from ollamax.backend.base import choose
from ollamax.errors import BackendError
from ollamax.ml import Graph, Kind, Op
from ollamax.ml.dtype import quantize
from ollamax.ml.tensor import apply, graph_input, optional, state, state_read, state_write, weight
from ollamax.types import DType
from ollamax_backend_onnx.backend import ONNX
from ollamax_backend_onnx.cancellation import Runs


def cache_program(backend: ONNX, width: int = 4) -> Program:
    slots, rows = graph_input("slots", ("N",), bound=3), graph_input("rows", ("N", "T"), bound="S")
    values = graph_input("values", ("N", "T", 2, width), Kind.FLOAT)
    held = state_write(state("s", (3, 8, 2, width)), slots, rows, values)
    return backend.compile(Graph({"out": state_read(held, slots)}))


def put(program: Program, slots: list[int], rows: list[list[int]], cells: int, value: float = 1.0) -> np.ndarray:
    inputs = {"slots": np.array(slots), "rows": np.array(rows)}
    width = program.graph.outputs["out"].shape[-1]
    inputs["values"] = np.full((*inputs["rows"].shape, 2, width), value, np.float32)
    dims = {"N": len(slots), "T": len(rows[0]), "S": cells}
    return program.run(inputs, dims)["out"]


def test_state_outlives_a_run_and_is_shared_by_programs() -> None:
    backend = ONNX()
    put(cache_program(backend), [0, 2], [[1], [3]], 4, value=5.0)
    out = put(cache_program(backend), [0, 2], [[0], [0]], 4, value=7.0)
    assert out[0, :, 0, 0].tolist() == [7, 5, 0, 0]
    assert out[1, :, 0, 0].tolist() == [7, 0, 0, 5]
    backend.close()


@pytest.mark.parametrize("dtype", [DType.F32, DType.F16, DType.Q8_0])
def test_rows_are_copied_read_and_replaced(dtype: DType) -> None:
    backend = ONNX(BackendOptions(cache_type=dtype))
    put(cache_program(backend, 32), [0], [[2, 3]], 4, value=5.0)
    backend.copy_rows(0, 1, np.array([3]))
    np.testing.assert_allclose(backend.read_state("s", 1)[:, 1, 1], [0, 0, 0, 5, 0, 0, 0, 0], rtol=1e-3)
    backend.copy_rows(0, 2, np.array([3]), prefix="t")
    assert not backend.read_state("s", 2).any()
    new = np.random.default_rng(0).normal(size=(8, 2, 32)).astype(np.float32)
    backend.write_state("s", 1, new)
    np.testing.assert_allclose(backend.read_state("s", 1), new, atol={DType.Q8_0: 0.02}.get(dtype, 2e-3))
    with pytest.raises(BackendError, match="takes"):
        backend.write_state("s", 1, np.ones((8, 32, 2), np.float32))
    with pytest.raises(BackendError, match="no state 't'; there are: s"):
        backend.read_state("t", 0)
    backend.close()


def test_what_cannot_be_a_cache_is_refused() -> None:
    with pytest.raises(BackendError, match="keeps no q4_0 cache; choose f32, f16, q8_0"):
        ONNX(BackendOptions(cache_type=DType.Q4_0))
    backend = ONNX(BackendOptions(cache_type=DType.Q8_0))
    with pytest.raises(BackendError, match="multiple of 32, not 4; use f16"):
        cache_program(backend)
    backend.close()


def test_outputs_are_copies() -> None:
    backend = ONNX()
    program = cache_program(backend)
    put(program, [0], [[0]], 4)[:] = 99
    first = put(program, [0], [[0]], 4)
    put(program, [0], [[0]], 4, value=3.0)
    assert first.max() == 1
    assert backend.read_state("s", 0).max() == 3
    backend.close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slots": np.array([3])}, "'slots' holds 3, expected 0 to 2"),
        ({"rows": np.array([[4]])}, "'rows' holds 4, expected 0 to 3"),
        ({"rows": np.array([[-1]])}, "'rows' holds -1"),
        ({"rows": np.array([0])}, "has shape"),
    ],
)
def test_bad_inputs_never_reach_the_runtime(change: dict[str, np.ndarray], message: str) -> None:
    inputs = {"slots": np.array([0]), "rows": np.array([[0]]), "values": np.ones((1, 1, 2, 4), np.float32)}
    backend = ONNX()
    program = cache_program(backend)
    with pytest.raises(BackendError, match=message):
        program.run({**inputs, **change}, {"N": 1, "T": 1, "S": 4})
    (held,) = program.graph.writes.values()
    with pytest.raises(BackendError, match="10 cells are used of state 's' with 8"):
        backend.compile(Graph({}, [held])).run({**inputs, "rows": np.array([[9]])}, {"N": 1, "T": 1, "S": 10})
    with pytest.raises(BackendError, match="9 cells are used of state 's' with 8"):
        program.run(inputs, {"N": 1, "T": 1, "S": 9})
    backend.close()


def linear_graph(rows: int, width: int, dtype: DType) -> Graph:
    x = graph_input("x", ("T", width), Kind.FLOAT)
    return Graph({"out": optional(Op.LINEAR, x, weight("w", (rows, width), dtype), extra={})})


@pytest.mark.parametrize(
    "wrong", [{"shape": (8, 31)}, {"data": np.zeros(100, np.uint8)}, {"shape": (8, 0)}, {"dtype": DType.Q4_K}]
)
def test_a_weight_that_contradicts_itself_is_refused(wrong: dict[str, object]) -> None:
    right = {"name": "w", "dtype": DType.F32, "shape": (8, 32), "data": np.zeros(8 * 32 * 4, np.uint8), "mapped": False}
    backend = ONNX()
    backend.load({"w": Weight(**{**right, **wrong})})  # type: ignore[arg-type]
    with pytest.raises(BackendError, match="weight 'w' has"):
        backend.compile(linear_graph(8, 32, DType.F32))
    backend.load({})
    with pytest.raises(BackendError, match="'w' was not loaded"):
        backend.compile(linear_graph(8, 32, DType.F32))
    backend.close()


def run_linear(backend: ONNX, stored: Weight) -> np.ndarray:
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
    backend = ONNX()
    out = run_linear(backend, Weight("w", dtype, values.shape, data, mapped=True))
    np.testing.assert_allclose(out, values[:, :2].T, atol=0.2 if dtype is DType.Q8_0 else 0)
    if dtype is DType.F32:
        assert (backend._weights.whole("w").ctypes.data == data.ctypes.data) is (shift % 4 == 0)
    backend.close()


def test_packed_weights_give_their_pages_back_and_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    dropped: list[int] = []
    monkeypatch.setattr("ollamax_backend_onnx.weights.drop_pages", lambda data: dropped.append(data.nbytes))
    values = np.random.default_rng(0).normal(size=(16, 64)).astype(np.float32)
    weights = {
        name: Weight(name, dtype, values.shape, quantize(values, dtype), mapped)
        for name, dtype, mapped in (("a", DType.Q4_0, True), ("b", DType.Q4_0, False), ("c", DType.F32, True))
    }
    x = graph_input("x", ("T", 64), Kind.FLOAT)
    nodes = {name: weight(name, stored.shape, stored.dtype) for name, stored in weights.items()}
    graph = Graph({name: optional(Op.LINEAR, x, node, extra={}) for name, node in nodes.items()})
    done: list[int] = []
    backend = ONNX()
    backend.load(weights, done.append)
    program = backend.compile(graph)
    assert backend.compile(graph) is not program  # a second one finds the weights as they are
    assert dropped == [576]
    assert done == [576, 2 * 576, 2 * 576 + 4096]
    given = np.random.default_rng(1).normal(size=(5, 64)).astype(np.float32)
    result = program.run({"x": given}, {"T": 5})
    np.testing.assert_array_equal(result["a"], result["b"])
    np.testing.assert_allclose(result["a"], result["c"], atol=0.3 * np.abs(result["c"]).max())
    backend.close()


def test_a_state_is_written_where_it_lies() -> None:
    """Only the cells that a run looks at are bound, at one address for what was and what is."""
    backend = ONNX()
    program = cache_program(backend)
    (kept,) = backend.states.find("s")._kept
    put(program, [1], [[2]], 4, value=3.0)
    assert backend.states.find("s")._kept[0] is kept
    assert kept.shape == (8, 3, 2, 4)
    assert kept[2, 1].min() == 3
    assert kept.sum() == 24
    backend.close()


def test_a_version_that_is_read_before_it_is_replaced_is_the_older_one() -> None:
    backend = ONNX()
    slots, rows = graph_input("slots", ("N",), bound=1), graph_input("rows", ("N", "T"), bound="S")
    values = graph_input("values", ("N", "T", 2, 4), Kind.FLOAT)
    held = state("s", (1, 8, 2, 4))
    after = state_read(state_write(held, slots, rows, values), slots)
    program = backend.compile(Graph({"before": apply(Op.NEG, state_read(held, slots)), "out": after * 2.0}))
    for value in (1.0, 5.0, 7.0):
        before = backend.read_state("s", 0)
        inputs = {"slots": np.array([0]), "rows": np.array([[2]]), "values": np.full((1, 1, 2, 4), value, np.float32)}
        result = program.run(inputs, {"N": 1, "T": 1, "S": 4})
        np.testing.assert_array_equal(result["before"][0], -before[:4])
        assert result["out"][0, 2].min() == 2 * value
        assert backend.read_state("s", 0).sum() == 8 * value
    backend.close()


@pytest.mark.parametrize("threads", [0, 513])
def test_a_bad_number_of_threads_is_refused(threads: int) -> None:
    with pytest.raises(BackendError, match=f"num_thread is {threads}, expected 1 to 512"):
        ONNX(BackendOptions(threads=threads))


def test_a_closed_backend_says_so() -> None:
    backend = ONNX()
    program = cache_program(backend)
    put(program, [0], [[0]], 4)
    backend.close()
    backend.close()
    for use in (lambda: put(program, [0], [[0]], 4), lambda: cache_program(backend), lambda: backend.load({})):
        with pytest.raises(BackendError, match="was closed"):
            use()


def test_a_computation_ends_when_another_thread_cancels_it() -> None:
    """The flag is set before the run, which makes sure that it comes in time."""
    backend = ONNX()
    program = backend.compile(Graph({"out": apply(Op.EXP, graph_input("x", ("T",), Kind.FLOAT))}))
    inputs = {"x": np.zeros(4, np.float32)}
    thread = threading.Thread(target=backend.cancel)
    thread.start()
    thread.join()
    with pytest.raises(BackendError, match="cancelled"):
        program.run(inputs, {"T": 4})
    assert program.run(inputs, {"T": 4})["out"].tolist() == [1, 1, 1, 1]
    backend.close()


def many_steps() -> Graph:
    x = graph_input("x", ("N", "T", 64), Kind.FLOAT)
    for _ in range(2000):
        x = x * x
    return Graph({"out": x})


@pytest.fixture
def ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle of the first run."""
    plain, timer = Runs._run, threading.Timer(0.02, lambda: os.kill(os.getpid(), signal.SIGINT))

    def run(*arguments: Any) -> bool:
        if not timer.ident:
            timer.start()
        return plain(*arguments)

    monkeypatch.setattr(Runs, "_run", run)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_a_computation_and_the_backend_goes_on() -> None:
    backend = ONNX()
    program = backend.compile(many_steps())
    with pytest.raises(KeyboardInterrupt):
        program.run({"x": np.ones((64, 512, 64), np.float32)}, {"N": 64, "T": 512})
    small = program.run({"x": np.ones((1, 2, 64), np.float32)}, {"N": 1, "T": 2})["out"]
    assert (small == 1).all()
    backend.close()


@pytest.mark.usefixtures("ctrl_c")
def test_a_handler_that_goes_on_lets_the_computation_begin_again() -> None:
    told: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: told.append(number))
    try:
        backend = ONNX()
        program = backend.compile(many_steps())
        out = program.run({"x": np.ones((64, 512, 64), np.float32)}, {"N": 64, "T": 512})["out"]
        assert (out == 1).all()
        assert told == [signal.SIGINT]
        backend.close()
    finally:
        signal.signal(signal.SIGINT, before)


def test_probe_names_what_the_runtime_offers(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = ONNX.probe().devices
    assert devices[0].name == "cpu"
    assert devices[0].kind.endswith("(CPUExecutionProvider)")
    assert devices[0].rank > 1 > max((device.rank for device in devices[1:]), default=0)
    assert "azure" not in {device.name for device in devices}
    offered = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: offered)
    assert [(device.name, device.rank > 0) for device in ONNX.probe().devices] == [("cpu", True), ("cuda", False)]


def test_a_runtime_that_does_not_load_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    probe = ONNX.probe()
    assert not probe.devices
    assert "ONNX Runtime cannot be loaded" in str(probe.reason)
    with pytest.raises(BackendError, match="backend onnx cannot run here: ONNX Runtime cannot be loaded"):
        choose({"onnx": ONNX}, "onnx")
    with pytest.raises(BackendError, match="cannot be loaded"):
        ONNX()


def test_a_device_is_honoured_or_rejected_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    ONNX(BackendOptions(device="cpu")).close()
    with pytest.raises(BackendError, match="backend onnx has no device 'tpu'; it has: cpu"):
        ONNX(BackendOptions(device="tpu"))
    monkeypatch.setattr(
        "onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    backend = ONNX(BackendOptions(device="cuda"))
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"), pytest.raises(BackendError, match="does not start"):
        backend.compile(Graph({"out": apply(Op.EXP, graph_input("x", ("T",), Kind.FLOAT))}))
    backend.close()


def test_a_probe_loads_the_runtime_and_not_what_makes_models_for_it() -> None:
    code = "import sys; from ollamax_backend_onnx.backend import ONNX; assert ONNX.probe().devices; "
    code += "sys.exit('onnxruntime' not in sys.modules or 'onnx' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
