"""States that grow with what runs need."""

from collections.abc import Iterator

import numpy as np
import pytest

from ollamax.backend import Backend, Program
from ollamax.errors import BackendError
from ollamax.ml import Graph, Kind
from ollamax.ml.tensor import const, graph_input, state, state_read, state_write
from ollamax.testing.weight_cases import float_weight
from ollamax.types import DType
from ollamax_backend_metal import device as module
from ollamax_backend_metal.backend import Metal
from ollamax_backend_metal.states import MLXState

CELLS = 10**9
"""A tebibyte of float32, which no test has."""


def long_program(backend: Backend, cells: int = CELLS) -> Program:
    """Writes ``rows`` of ``s (2, cells, 4, 32)`` and reads ``S`` cells."""
    slots, rows = graph_input("slots", ("N",), bound=2), graph_input("rows", ("N", "T"), bound=cells)
    held = state_write(state("s", (2, cells, 4, 32)), slots, rows, graph_input("values", ("N", "T", 4, 32), Kind.FLOAT))
    return backend.compile(Graph({"out": state_read(held, slots)}))


def put(program: Program, row: int, cells: int, value: float = 1.0) -> np.ndarray:
    """Put ``value`` into one row of the second slot, and look at ``cells``."""
    values = np.full((1, 1, 4, 32), value, np.float32)
    inputs = {"slots": np.array([1]), "rows": np.array([[row]]), "values": values}
    return program.run(inputs, {"N": 1, "T": 1, "S": cells})["out"]


def held(backend: Metal) -> int:
    return backend.states.find("s").version[0].shape[1]  # type: ignore[no-any-return]


@pytest.fixture
def backend() -> Iterator[Metal]:
    backend = Metal()
    yield backend
    backend.close()


def test_a_state_has_the_cells_that_runs_needed(backend: Metal) -> None:
    program = long_program(backend)
    assert held(backend) == 256
    for row, cells, expected in ((0, 1, 256), (255, 256, 256), (256, 300, 512), (3, 4, 512), (5000, 2, 8192)):
        put(program, row, cells, row + 1.0)
        assert held(backend) == expected
    out = put(program, 9, 5001, 7.0)[0, :, 0, 0]
    assert {row: out[row] for row in np.flatnonzero(out)} == {0: 1, 3: 4, 9: 7, 255: 256, 256: 257, 5000: 5001}


def test_it_never_has_more_than_its_own(backend: Metal) -> None:
    put(long_program(backend, 300), 299, 300)
    assert held(backend) == 300
    assert backend.read_state("s", 1).shape == (300, 4, 32)


def test_rows_that_a_graph_does_not_take_are_all_there(backend: Metal) -> None:
    slots, rows = graph_input("slots", (1,), bound=1), const(np.array([[700]]))
    written = state_write(state("s", (1, 999, 4)), slots, rows, graph_input("values", (1, 1, 4), Kind.FLOAT))
    program = backend.compile(Graph({"out": state_read(written, slots)}))
    program.run({"slots": np.array([0]), "values": np.ones((1, 1, 4), np.float32)}, {"S": 1})
    assert backend.read_state("s", 0).sum(axis=1).tolist() == [0] * 700 + [4] + [0] * 298


@pytest.mark.parametrize("dtype", [DType.F32, DType.F16, DType.Q8_0], ids=lambda dtype: dtype.name)
def test_what_is_not_there_is_zero(backend: Metal, dtype: DType) -> None:
    state = MLXState("s", (2, 1000, 3, 32), dtype, backend._device)
    assert not state.slot(0).any()
    state.copy_rows(0, 1, np.array([998, 999]))
    value = np.zeros((1000, 3, 32), np.float32)
    value[[5, 600]] = 127
    state.replace(0, value)
    assert state.version[0].shape[1] == 1000
    state.copy_rows(0, 1, np.array([600, 999]))
    np.testing.assert_array_equal(state.slot(0), value)
    value[5] = 0
    np.testing.assert_array_equal(state.slot(1), value)
    state.replace(1, np.zeros_like(value))
    assert not state.slot(1).any()


def test_memory_that_is_short_is_an_error_before_mlx_ends_the_process(
    backend: Metal, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = long_program(backend)
    with pytest.raises(
        BackendError, match=r"metal: caches of the whole context need 1,024,000 MB and [\d,]+ MB are free"
    ):
        program.reserve({})
    put(program, 3, 4, 5.0)
    with pytest.raises(
        BackendError,
        match=r"metal: 536,870,912 cells of state 's' need 549,756 MB and [\d,]+ MB are free; take a small",
    ):
        put(program, CELLS // 2, 4)
    assert put(program, 1, 4)[0, :, 0, 0].tolist() == [0, 1, 0, 5]
    monkeypatch.setattr(module, "available_memory", lambda: 10**5)
    weights = float_weight("w", np.zeros((4, 10**5), np.float32))
    backend.load({"w": weights})
    with pytest.raises(BackendError, match="metal: weights need 2 MB and 0 MB are free"):
        backend._weights.whole("w")
