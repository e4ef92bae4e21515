"""The ONNX Runtime backend's states, weights, options, bounds and errors."""

import mmap
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ollamax.backend import BackendOptions, Weight
from ollamax.backend.ranking import choose
from ollamax.errors import BackendError
from ollamax.ml import Graph, Kind, Op
from ollamax.ml.dtype import quantize
from ollamax.ml.tensor import apply, graph_input
from ollamax.plugins import get_registry
from ollamax.testing.page_case import check_pages
from ollamax.testing.state_suite import cache_program, put
from ollamax.testing.weight_suite import linear_graph
from ollamax.types import DType
from ollamax_backend_onnx.backend import ONNX
from ollamax_backend_onnx.cancellation import Runs
from ollamax_backend_onnx.emission import emit
from ollamax_backend_onnx.program import _bind as plain
from ollamax_backend_onnx.states import ONNXState
from ollamax_backend_onnx.weights import Weights


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
    out = run_linear(backend, Weight("w", dtype, values.shape, data))
    np.testing.assert_allclose(out, values[:, :2].T, atol=0.2 if dtype is DType.Q8_0 else 0)
    if dtype is DType.F32:
        assert (backend._weights.whole("w").ctypes.data == data.ctypes.data) is (shift % 4 == 0)
    backend.close()


def test_packed_weights_give_their_pages_back_and_are_counted(tmp_path: Path) -> None:
    check_pages(ONNX(), DType.Q4_0, tmp_path)


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


def test_a_state_stays_bound_while_runs_look_at_as_many_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    bound: list[str] = []
    monkeypatch.setattr(
        "ollamax_backend_onnx.program._bind", lambda bind, name, value: (bound.append(name), plain(bind, name, value))
    )
    backend = ONNX()
    program = cache_program(backend)
    for cells, fresh in ((4, True), (4, False), (6, True), (4, True)):
        bound.clear()
        put(program, [1], [[2]], cells, value=float(cells))
        assert ("s" in bound) is ("s.next" in bound) is fresh
        assert backend.read_state("s", 1)[2].min() == cells
    backend.close()


@pytest.mark.parametrize("threads", [0, 513])
def test_a_bad_number_of_threads_is_refused(threads: int) -> None:
    with pytest.raises(BackendError, match=f"num_thread is {threads}, expected 1 to 512"):
        ONNX(BackendOptions(threads=threads))


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


def test_a_package_for_models_that_is_broken_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "__init__.py").write_text("raise TypeError('Descriptors cannot be created directly.')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "onnx")
    with pytest.raises(BackendError, match=r"cannot be loaded \(Descriptors .*\); try: pip install .* onnx"):
        ONNX()
    cpu = get_registry().backends["cpu"]
    assert choose({"onnx": ONNX, "cpu": cpu}) is cpu


@pytest.mark.parametrize(("cache", "most"), [(DType.F32, 1e9), (DType.F16, 65504), (DType.Q8_0, 127 * 65504)])
def test_a_state_that_is_put_is_as_finite_as_one_that_is_written(cache: DType, most: float) -> None:
    state = ONNXState("s", (1, 2, 1, 32), cache)
    state.replace(0, np.full((2, 1, 32), 1e9, np.float32))
    assert set(state.slot(0).reshape(-1)) == {np.float32(most)}


def test_no_file_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    values = np.random.default_rng(0).normal(size=(600, 64)).astype(np.float32)
    backend = ONNX()
    stored = Weight("w", DType.F32, values.shape, values.reshape(-1).view(np.uint8))
    np.testing.assert_allclose(run_linear(backend, stored), values[:, :2].T, rtol=1e-6)
    backend.close()


def test_a_device_is_honoured_or_rejected_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cpu", "CPU"):
        backend = ONNX(BackendOptions(device=name))
        assert backend.options.device == "cpu"
        backend.close()
    with pytest.raises(BackendError, match="backend onnx has no device 'tpu'; it has: cpu"):
        ONNX(BackendOptions(device="tpu"))
    monkeypatch.setattr(
        "onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"), pytest.raises(BackendError, match="does not start"):
        ONNX(BackendOptions(device="cuda"))


def test_a_probe_loads_the_runtime_and_not_what_makes_models_for_it() -> None:
    code = "import sys; from ollamax_backend_onnx.backend import ONNX; assert ONNX.probe().devices; "
    code += "sys.exit('onnxruntime' not in sys.modules or 'onnx' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_runtime_does_not_report_to_its_makers(tmp_path: Path) -> None:
    """It keeps an id in the home directory and a queue of reports, but not where CI is set."""
    code = "from ollamax_backend_onnx.backend import ONNX; ONNX().close()"
    places = {name: str(tmp_path) for name in ("HOME", "USERPROFILE", "TMPDIR", "XDG_CACHE_HOME")}
    unset = {"CI", "ORT_DISABLE_TELEMETRY"}
    environment = {name: value for name, value in os.environ.items() if name not in unset} | places
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert not list(tmp_path.iterdir())


def test_of_one_reshape_after_another_the_last_is_computed() -> None:
    x = graph_input("x", ("N", "T", 12), Kind.FLOAT)
    kept, moved = x.reshape("N", "T", 3, 4).reshape("N", "T", 2, 6), x.reshape("N", 3, "T", 4).reshape("N", 3, 4, "T")
    graph = Graph({"kept": kept, "moved": moved})
    backend = ONNX()
    model = emit(graph, Weights({}), backend.states, 4).model()
    assert [node.op_type for node in model.graph.node].count("Reshape") == 3
    given = np.arange(2 * 5 * 12, dtype=np.float32).reshape(2, 5, 12)
    found = backend.compile(graph).run({"x": given}, {"N": 2, "T": 5})
    np.testing.assert_array_equal(found["kept"], given.reshape(2, 5, 2, 6))
    np.testing.assert_array_equal(found["moved"], given.reshape(2, 3, 4, 5))
    backend.close()


def test_one_session_serves_every_size() -> None:
    backend = ONNX()
    x = graph_input("x", ("N", "T", 4), Kind.FLOAT)
    program = backend.compile(Graph({"out": apply(Op.EXP, x).reshape("T", 2, "N", 2)}))
    session = program._session  # type: ignore[attr-defined]
    for size in ((2, 3), (1, 5), (3, 1), (1, 1)):
        value = np.random.default_rng(sum(size)).normal(size=(*size, 4)).astype(np.float32)
        found = program.run({"x": value}, {"N": size[0], "T": size[1]})["out"]
        np.testing.assert_allclose(found, np.exp(value).reshape(size[1], 2, size[0], 2), rtol=1e-6)
    assert program._session is session  # type: ignore[attr-defined]
    backend.close()
