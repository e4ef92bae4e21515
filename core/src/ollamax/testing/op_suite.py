"""What every backend must compute: each op as the reference defines it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ollamax.backend import Backend, BackendOptions
from ollamax.errors import BackendError, GraphError
from ollamax.ml import PRIMITIVES, Graph, Kind, Op, nn
from ollamax.ml.reference import evaluate
from ollamax.ml.tensor import apply, graph_input, state, state_read, state_write
from ollamax.testing.framework import pytest
from ollamax.testing.further_cases import computed_cases, further_cases
from ollamax.testing.op_cases import Maker, OpCase, op_cases
from ollamax.testing.weight_cases import float_weight
from ollamax.types import DType

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

_CACHE_TOLERANCE = {DType.F32: 2e-5, DType.F16: 2e-3, DType.Q8_0: 2e-2}


class OpSuite:
    """Subclass it as ``TestOps`` with a ``backend``.

    ``takes_computed_indices`` is whether integers, masks and shapes may be made of computed values; a backend that does
    not must refuse them.
    """

    backend: ClassVar[type[Backend]]
    takes_computed_indices: ClassVar[bool] = True

    @pytest.mark.parametrize("ops", ["own", "primitives"])
    @pytest.mark.parametrize("case", op_cases(), ids=str)
    def test_an_op_equals_the_reference(self, case: OpCase, ops: str) -> None:
        """As the backend runs it, and taken apart into primitives."""
        check_case(case, _form(self.backend, ops), 2e-5)

    @pytest.mark.parametrize("ops", ["own", "primitives"])
    @pytest.mark.parametrize("case", further_cases(), ids=str)
    @pytest.mark.filterwarnings("ignore:divide by zero", "ignore:overflow", "ignore:invalid value")
    def test_further_forms_equal_the_reference(self, case: OpCase, ops: str) -> None:
        """Computed sources, many axes, limits and odd shapes."""
        check_case(case, _form(self.backend, ops), 1e-4 if "attention" in case.name else 2e-5)

    @pytest.mark.parametrize("case", computed_cases(), ids=str)
    def test_what_depends_on_computed_values(self, case: OpCase) -> None:
        """Computed, or refused."""
        if self.takes_computed_indices:
            check_case(case, self.backend, 2e-5)
        else:
            with pytest.raises((BackendError, GraphError), match=f"backend {self.backend.name}"):
                run_case(self.backend(), case)

    def test_an_index_that_core_does_not_bound_never_reads_beyond(self) -> None:
        """It is made of inputs, so that core cannot check it."""
        m = Maker()
        beyond = m.case("take", apply(Op.TAKE, m.floats(2, 3) * 1.0, m.integers(2, low=1, high=2) + 1))
        with pytest.raises(BackendError, match="2"):
            run_case(self.backend(), beyond)

    @pytest.mark.parametrize("bad", [-1, 4])
    @pytest.mark.parametrize("op", [Op.EMBEDDING, Op.TAKE], ids=lambda op: op.name.lower())
    def test_a_given_index_that_a_table_does_not_have(self, op: Op, bad: int) -> None:
        """Nothing but the table bounds it; core checks it, unless a backend has a ``run`` of its own."""
        m = Maker()
        table = m.weight(4, 3) if op is Op.EMBEDDING else m.floats(4, 3)
        beyond = m.case("table", apply(op, table, m.given(3, values=[0, bad, 3])))
        with pytest.raises(BackendError, match=f"has the index {bad}, expected 0 to 3"):
            run_case(self.backend(), beyond)

    @pytest.mark.parametrize("slots", [[1], [0, 1], [0, 2], [2, 0], [3, 0, 1], [0, 1, 3]])
    def test_attention_over_states(self, slots: list[int]) -> None:
        """Whatever slots a step names, with every type of cache."""
        m, n = Maker(3), len(slots)
        m.dims |= {"N": n, "T": 2, "S": 6}
        ids, rows = m.given("N", values=slots), m.given("N", "T", values=[[4, 1]] * n)
        held = [state_write(state(f"s{at}", (4, 9, 2, 32)), ids, rows, m.floats("N", "T", 2, 32)) for at in range(2)]
        places = m.given("N", "S", values=[[-1, 0, -1, -1, 1, -1]] * n)
        mask = nn.causal_mask(m.given("N", "T", values=[[1, 0]] * n), places)
        keys, values = (state_read(one, ids) for one in held)
        case = m.case("states", nn.attention(m.floats("N", "T", 4, 32), keys, values, mask))
        expected = evaluate(case.graph, case.inputs, case.dims, {})["out"]
        for dtype in self.backend.cache_types:
            tolerance = _CACHE_TOLERANCE[dtype]
            found = run_case(self.backend(BackendOptions(cache_type=dtype)), case)
            np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())

    def test_what_no_query_sees_is_without_influence(self) -> None:
        """Values that are too large for a cache lie in cells of a sequence that is over."""
        m = Maker(3)
        m.dims |= {"N": 1, "T": 2, "S": 6}
        ids, rows = m.given("N", values=[0]), m.given("N", "T", values=[[4, 1]])
        keys, values = m.floats("N", "T", 2, 32), m.floats("N", "T", 2, 32)
        held = [state_write(state(f"s{at}", (1, 9, 2, 32)), ids, rows, new) for at, new in enumerate((keys, values))]
        places = m.given("N", "S", values=[[-1, 0, -1, -1, 1, -1]])
        mask = nn.causal_mask(m.given("N", "T", values=[[1, 0]]), places)
        kept_keys, kept_values = (state_read(one, ids) for one in held)
        case = m.case("states", nn.attention(m.floats("N", "T", 4, 32), kept_keys, kept_values, mask))
        expected = evaluate(case.graph, case.inputs, case.dims, {})["out"]
        large = np.full((1, 2, 2, 32), 1e9, np.float32)
        before = {rows.attrs["name"]: np.array([[0, 2]]), keys.attrs["name"]: large, values.attrs["name"]: -large}
        for dtype in self.backend.cache_types:
            backend = self.backend(BackendOptions(cache_type=dtype))
            program = backend.compile(case.graph)
            program.run({**case.inputs, **before}, case.dims)
            found = program.run(case.inputs, case.dims)["out"]
            tolerance = _CACHE_TOLERANCE[dtype]
            np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())
            backend.close()

    def test_one_program_serves_every_size(self) -> None:
        """Symbols have a value for each run."""
        backend = self.backend()
        x = graph_input("x", ("N", "T", 4), Kind.FLOAT)
        program = backend.compile(Graph({"out": apply(Op.EXP, x).reshape("T", 2, "N", 2)}))
        for size in ((2, 3), (1, 5), (3, 1), (1, 1), (2, 3)):
            value = np.random.default_rng(sum(size)).normal(size=(*size, 4)).astype(np.float32)
            found = program.run({"x": value}, {"N": size[0], "T": size[1]})["out"]
            np.testing.assert_allclose(found, np.exp(value).reshape(size[1], 2, size[0], 2), rtol=1e-6)
        backend.close()


def _form(backend: type[Backend], ops: str) -> type[Backend]:
    """The backend itself, or one for which core takes every compound apart."""
    return backend if ops == "own" else type("Primitive", (backend,), {"ops": PRIMITIVES})


def run_case(backend: Backend, case: OpCase) -> Array:
    """What a backend computes for a case; the backend is closed."""
    try:
        backend.load({name: float_weight(name, value) for name, value in case.weights.items()})
        return backend.compile(case.graph).run(case.inputs, case.dims)["out"]
    finally:
        backend.close()


def check_case(case: OpCase, backend: type[Backend], tolerance: float) -> None:
    """Compare what a backend computes for a case with the reference."""
    expected = evaluate(case.graph, case.inputs, case.dims, case.weights)["out"]
    found = run_case(backend(), case)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
