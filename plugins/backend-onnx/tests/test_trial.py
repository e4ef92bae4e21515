"""Providers other than the processor's: tried before they are trusted, and given no index that nobody checked."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import helper
from onnxruntime import IOBinding

from ollamax.backend import BackendOptions
from ollamax.errors import BackendError
from ollamax.ml import Graph, Kind, Op
from ollamax.ml.tensor import apply, cast, const, graph_input, state, state_read
from ollamax_backend_onnx.backend import ONNX
from ollamax_backend_onnx.builder import Builder
from ollamax_backend_onnx.runtime import PROCESSOR, open_session
from ollamax_backend_onnx.trial import attempt

CHANGES: dict[str, tuple[str, str, int | float]] = {
    "pairs of another kind": ("RotaryEmbedding", "interleaved", 1),
    "no scale": ("FusedMatMul", "alpha", 1.0),
    "another norm": ("RMSNormalization", "epsilon", 2.0),
}


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A runtime that also offers ``npu``, which is the processor; what is given changes an operation there."""

    def offer(operation: str = "", attribute: str = "", value: float = 0) -> None:
        def opened(builder: Builder, _: str, threads: int) -> Any:
            for node in builder._nodes:
                for one in node.attribute:
                    if (node.op_type, one.name) == (operation, attribute):
                        one.CopyFrom(helper.make_attribute(attribute, value))
            return open_session(builder, PROCESSOR, threads)

        monkeypatch.setattr("ollamax_backend_onnx.program.open_session", opened)

    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["NPUExecutionProvider", PROCESSOR])
    offer()
    return offer


@pytest.mark.parametrize("level", [0, 4])
def test_the_processor_passes(level: int) -> None:
    attempt(PROCESSOR, 1, level)


@pytest.mark.usefixtures("provider")
def test_a_provider_that_passes_computes() -> None:
    backend = ONNX(BackendOptions(device="npu"))
    program = backend.compile(Graph({"out": apply(Op.EXP, graph_input("x", ("T",), Kind.FLOAT))}))
    assert program.run({"x": np.zeros(2, np.float32)}, {"T": 2})["out"].tolist() == [1, 1]
    backend.close()


@pytest.mark.parametrize(("device", "again"), [("npu", {"x", "kept"}), ("cpu", set())])
@pytest.mark.usefixtures("provider")
def test_inputs_and_states_stay_bound_on_the_processor_alone(
    device: str, again: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bound: set[str] = set()
    bind = IOBinding.bind_input

    def told(binding: IOBinding, name: str, *where: Any) -> None:
        bound.add(name)
        bind(binding, name, *where)

    monkeypatch.setattr(IOBinding, "bind_input", told)
    backend = ONNX(BackendOptions(device=device))
    read = state_read(state("kept", (1, 4, 2)), const(np.zeros(1, np.int64)))
    program = backend.compile(Graph({"out": read + graph_input("x", (1, "S", 2), Kind.FLOAT)}))
    for cells, want in ((3, {"x", "kept"}), (3, again), (4, {"x", "kept"})):
        bound.clear()
        value = np.full((1, cells, 2), len(want), np.float32)
        assert (program.run({"x": value}, {"S": cells})["out"] == value).all()
        assert bound == want
    backend.close()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_provider_that_computes_something_else_is_refused(provider: Callable[..., None], change: Any) -> None:
    provider(*change)
    with pytest.raises(BackendError, match=r"NPUExecutionProvider computes a trial step wrongly .*; take device cpu"):
        ONNX(BackendOptions(device="npu"))


def test_a_provider_that_fails_is_refused(provider: Callable[..., None]) -> None:
    provider("FusedMatMul", "transBatchB", 0)
    with pytest.raises(BackendError, match=r"the trial step failed: .* \(in a trial of NPUExecutionProvider\); take"):
        ONNX(BackendOptions(device="npu"))


@pytest.mark.usefixtures("provider")
def test_an_index_is_checked_before_a_provider_sees_it() -> None:
    backend = ONNX(BackendOptions(device="npu"))
    table, ids = graph_input("table", (3, 4), Kind.FLOAT), graph_input("ids", ("T",))
    program = backend.compile(Graph({"out": apply(Op.TAKE, table * 1.0, ids)}))
    given = {"table": np.zeros((3, 4), np.float32), "ids": np.array([0, 3])}
    with pytest.raises(BackendError, match="graph has the index 3, expected 0 to 2"):
        program.run(given, {"T": 2})
    computed = Graph({"out": apply(Op.TAKE, table, cast(graph_input("x", ("T",), Kind.FLOAT), Kind.INT))})
    with pytest.raises(BackendError, match="graph computes indices, which NPUExecutionProvider may not check"):
        backend.compile(computed)
    backend.close()
