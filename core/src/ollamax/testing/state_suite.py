"""What every backend must do with states, and with wrong inputs and options."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ollamax.backend import Backend, BackendOptions, Program
from ollamax.errors import BackendError
from ollamax.ml import Graph, Kind, Op
from ollamax.ml.tensor import apply, graph_input, state, state_read, state_write
from ollamax.testing.framework import pytest
from ollamax.types import DType

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

SLOTS, CELLS = 3, 8


def cache_program(backend: Backend, width: int = 4) -> Program:
    """Writes cells of the state ``s (3, 8, 2, width)`` and gives those that a step looks at as ``out``."""
    slots, rows = graph_input("slots", ("N",), bound=SLOTS), graph_input("rows", ("N", "T"), bound="S")
    values = graph_input("values", ("N", "T", 2, width), Kind.FLOAT)
    held = state_write(state("s", (SLOTS, CELLS, 2, width)), slots, rows, values)
    return backend.compile(Graph({"out": state_read(held, slots)}))


def put(program: Program, slots: list[int], rows: list[list[int]], cells: int, value: float = 1.0) -> Array:
    """Run a ``cache_program`` that puts ``value`` into ``rows`` of ``slots``; what it reads."""
    inputs: dict[str, Array] = {"slots": np.array(slots), "rows": np.array(rows)}
    width = program.graph.outputs["out"].shape[-1]
    inputs["values"] = np.full((*inputs["rows"].shape, 2, width), value, np.float32)
    return program.run(inputs, {"N": len(slots), "T": len(rows[0]), "S": cells})["out"]


class StateSuite:
    """Subclass it as ``TestStates`` with a ``backend``; ``cancels`` is whether it has a method ``cancel``."""

    backend: ClassVar[type[Backend]]
    cancels: ClassVar[bool] = False

    def test_a_state_outlives_a_run_and_is_shared_by_programs(self) -> None:
        """It is zero at first, and the last version wins."""
        backend = self.backend()
        put(cache_program(backend), [0, 2], [[1], [3]], 4, value=5.0)
        out = put(cache_program(backend), [0, 2], [[0], [0]], 4, value=7.0)
        assert out[0, :, 0, 0].tolist() == [7, 5, 0, 0]
        assert out[1, :, 0, 0].tolist() == [7, 0, 0, 5]
        backend.close()

    def test_a_version_that_is_read_before_it_is_replaced_is_the_older_one(self) -> None:
        """Versions are values."""
        backend = self.backend()
        slots, rows = graph_input("slots", ("N",), bound=1), graph_input("rows", ("N", "T"), bound="S")
        held = state("s", (1, CELLS, 2, 4))
        values = graph_input("values", ("N", "T", 2, 4), Kind.FLOAT)
        before = apply(Op.NEG, state_read(held, slots))
        after = state_read(state_write(held, slots, rows, values), slots)
        program = backend.compile(Graph({"before": before, "out": after * 2.0}))
        for value in (1.0, 5.0, 7.0):
            old = backend.read_state("s", 0)
            given = {"slots": np.array([0]), "rows": np.array([[2]]), "values": np.full((1, 1, 2, 4), value)}
            result = program.run(given, {"N": 1, "T": 1, "S": 4})
            np.testing.assert_array_equal(result["before"][0], -old[:4])
            assert result["out"][0, 2].min() == 2 * value
            assert backend.read_state("s", 0).sum() == 8 * value
        backend.close()

    def test_rows_are_copied_read_and_replaced(self) -> None:
        """With every type of cache."""
        for dtype in self.backend.cache_types:
            backend = self.backend(BackendOptions(cache_type=dtype))
            put(cache_program(backend, 32), [0], [[2, 3]], 4, value=5.0)
            backend.copy_rows(0, 1, np.array([3]))
            np.testing.assert_allclose(backend.read_state("s", 1)[:, 1, 1], [0, 0, 0, 5, 0, 0, 0, 0], rtol=1e-3)
            backend.copy_rows(0, 2, np.array([3]), prefix="t")
            assert not backend.read_state("s", 2).any()
            new = np.random.default_rng(0).normal(size=(CELLS, 2, 32)).astype(np.float32)
            backend.write_state("s", 1, new)
            np.testing.assert_allclose(backend.read_state("s", 1), new, atol={DType.Q8_0: 0.02}.get(dtype, 2e-3))
            with pytest.raises(BackendError, match="takes"):
                backend.write_state("s", 1, np.ones((CELLS, 32, 2), np.float32))
            with pytest.raises(BackendError, match="no state 't'; there are: s"):
                backend.read_state("t", 0)
            backend.close()

    def test_what_cannot_be_a_cache_is_refused(self) -> None:
        """A type that the backend does not declare, and heads that blocks do not divide."""
        known = ", ".join(dtype.name.lower() for dtype in self.backend.cache_types)
        with pytest.raises(BackendError, match=f"keeps no q4_0 cache; choose {known}"):
            self.backend(BackendOptions(cache_type=DType.Q4_0))
        if DType.Q8_0 in self.backend.cache_types:
            backend = self.backend(BackendOptions(cache_type=DType.Q8_0))
            with pytest.raises(BackendError, match="multiple of 32, not 4; use f16"):
                cache_program(backend)
            backend.close()

    def test_outputs_are_copies(self) -> None:
        """Of what a later run overwrites, and what a caller may."""
        backend = self.backend()
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
    def test_bad_inputs_never_reach_native_code(self, change: dict[str, Array], message: str) -> None:
        """What core checks, and cells beyond a state, which only the backend knows."""
        inputs: dict[str, Array] = {"slots": np.array([0]), "rows": np.array([[0]])}
        inputs["values"] = np.ones((1, 1, 2, 4), np.float32)
        backend = self.backend()
        program = cache_program(backend)
        with pytest.raises(BackendError, match=message):
            program.run({**inputs, **change}, {"N": 1, "T": 1, "S": 4})
        with pytest.raises(BackendError, match="'rows' is missing"):
            program.run({"slots": inputs["slots"]}, {"N": 1, "T": 1, "S": 4})
        with pytest.raises(BackendError, match="dimension S"):
            program.run(inputs, {"N": 1, "T": 1})
        (held,) = program.graph.writes.values()
        with pytest.raises(BackendError, match=r"\b(9|10)\b.*\b[78]\b"):
            backend.compile(Graph({}, [held])).run({**inputs, "rows": np.array([[9]])}, {"N": 1, "T": 1, "S": 10})
        with pytest.raises(BackendError, match=r"9 cells are .* with 8"):
            program.run(inputs, {"N": 1, "T": 1, "S": 9})
        backend.close()

    def test_a_closed_backend_says_so(self) -> None:
        """And may be closed again."""
        backend = self.backend()
        program = cache_program(backend)
        put(program, [0], [[0]], 4)
        backend.close()
        backend.close()
        for use in (lambda: put(program, [0], [[0]], 4), lambda: cache_program(backend), lambda: backend.load({})):
            with pytest.raises(BackendError, match="was closed"):
                use()

    def test_a_device_is_honoured_or_rejected_by_name(self) -> None:
        """So are layers for a graphics processor."""
        first = self.backend.probe().devices[0].name
        self.backend(BackendOptions(device=first)).close()
        with pytest.raises(BackendError, match=f"backend {self.backend.name} has no device 'tpu'; it has: "):
            self.backend(BackendOptions(device="tpu"))
        if not self.backend.takes_gpu_layers:
            with pytest.raises(BackendError, match="does not split a model between processors; set num_gpu to 0"):
                self.backend(BackendOptions(gpu_layers=1))

    def test_seconds_of_computing_are_counted_or_not_told(self) -> None:
        """A backend that counts them counts every run."""
        backend = self.backend()
        program, counted = cache_program(backend), [backend.compute_seconds]
        for _ in range(2):
            put(program, [0], [[1]], 4)
            counted.append(backend.compute_seconds)
        known = [seconds for seconds in counted if seconds is not None]
        assert known in ([], counted)
        assert known == sorted(set(known))
        backend.close()

    def test_a_computation_ends_when_another_thread_cancels_it(self) -> None:
        """The flag is set before the run, which makes sure that it comes in time."""
        backend: Any = self.backend()
        assert hasattr(backend, "cancel") is self.cancels
        if self.cancels:
            program = backend.compile(Graph({"out": apply(Op.EXP, graph_input("x", ("T",), Kind.FLOAT))}))
            inputs = {"x": np.zeros(4, np.float32)}
            thread = threading.Thread(target=backend.cancel)
            thread.start()
            thread.join()
            with pytest.raises(BackendError, match="cancelled"):
                program.run(inputs, {"T": 4})
            assert program.run(inputs, {"T": 4})["out"].tolist() == [1, 1, 1, 1]
        backend.close()
