"""What every backend must make of weights, whatever type they are stored as."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ollamax.backend import Backend, Weight
from ollamax.errors import BackendError
from ollamax.ml import Graph, Kind, Op
from ollamax.ml.tensor import apply, graph_input, optional, weight
from ollamax.testing.framework import pytest
from ollamax.testing.weight_cases import STORED, WIDTH, float_weight, random_weight, scale_places, values_of
from ollamax.types import DType

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

_ROWS = 200


def linear_graph(rows: int, width: int, dtype: DType) -> Graph:
    """``out (T, rows)`` is ``x (T, width)`` times the weight ``w``."""
    x = graph_input("x", ("T", width), Kind.FLOAT)
    return Graph({"out": optional(Op.LINEAR, x, weight("w", (rows, width), dtype), extra={})})


class WeightSuite:
    """Subclass it as ``TestWeights`` with a ``backend``.

    ``refused`` are types that it does not compute with; ``rounding`` says how large an error of a product may be, as a
    share of the largest, for types whose products are not exact.
    """

    backend: ClassVar[type[Backend]]
    refused: ClassVar[frozenset[DType]] = frozenset()
    rounding: ClassVar[Mapping[DType, float]] = {}

    @pytest.mark.parametrize("dtype", STORED, ids=lambda dtype: dtype.name)
    def test_rows_and_products(self, dtype: DType) -> None:
        """Tied: the table is looked up as it is stored, and multiplied with."""
        if self._is_refused(dtype):
            return
        stored = random_weight(dtype, _ROWS)
        values, numbers = values_of(stored), np.random.default_rng(2).normal(size=_ROWS).astype(np.float32)
        table, x = weight("w", stored.shape, dtype), graph_input("x", ("T", WIDTH), Kind.FLOAT)
        product = optional(Op.LINEAR, x, table, extra={"bias": weight("b", (_ROWS,))})
        looked_up = apply(Op.EMBEDDING, table, graph_input("ids", ("N", "T"), bound=_ROWS))
        backend = self.backend()
        backend.load({"w": stored, "b": float_weight("b", numbers)})
        program = backend.compile(Graph({"linear": product, "embedding": looked_up}))
        for count in (1, 2, 3, 7, 20):
            given = np.random.default_rng(count).normal(size=(count, WIDTH)).astype(np.float32)
            inputs: dict[str, Array] = {"x": given, "ids": np.arange(count)[None] * 9}
            result = program.run(inputs, {"N": 1, "T": count})
            np.testing.assert_array_equal(result["embedding"][0], values[inputs["ids"][0]])
            expected = given @ values.T + numbers
            tolerance = self.rounding.get(dtype, 3e-6) * np.abs(expected).max()
            np.testing.assert_allclose(result["linear"], expected, rtol=0, atol=tolerance)
        backend.close()

    @pytest.mark.parametrize("dtype", STORED, ids=lambda dtype: dtype.name)
    def test_values_for_any_other_op(self, dtype: DType) -> None:
        """They are those of the definition."""
        if self._is_refused(dtype):
            return
        stored = random_weight(dtype, 6)
        values, table = values_of(stored), weight("w", stored.shape, dtype)
        graph = Graph({"product": table * 2.0, "rows": apply(Op.DEQUANTIZE, table).slice(0, 1, 3)})
        backend = self.backend()
        backend.load({"w": stored})
        result = backend.compile(graph).run({}, {})
        np.testing.assert_array_equal(result["product"], values * 2)
        np.testing.assert_array_equal(result["rows"], values[1:3])
        backend.close()

    @pytest.mark.parametrize("dtype", [DType.Q4_0, DType.Q8_0, DType.Q4_K, DType.Q6_K], ids=lambda dtype: dtype.name)
    @pytest.mark.filterwarnings("ignore:invalid value", "ignore:overflow")
    def test_a_scale_that_is_no_number_spoils_its_own_row_alone(self, dtype: DType) -> None:
        """A damaged file's other values are as they were."""
        stored = random_weight(dtype, 8)
        place = scale_places(dtype)[0]
        stored.data[place : place + 2] = np.array([np.inf], np.float16).view(np.uint8)
        backend = self.backend()
        backend.load({"w": stored})
        found = backend.compile(linear_graph(8, WIDTH, dtype)).run({"x": np.ones((1, WIDTH))}, {"T": 1})["out"][0]
        assert not np.isfinite(found[0])
        assert np.isfinite(found[1:]).all()
        backend.close()

    @pytest.mark.parametrize(
        "wrong", [{"shape": (8, 31)}, {"data": np.zeros(100, np.uint8)}, {"shape": (8, 0)}, {"dtype": DType.Q4_K}]
    )
    def test_a_weight_that_contradicts_itself_is_refused(self, wrong: dict[str, Any]) -> None:
        """Before anything is made of it; so is one that was not loaded."""
        right = {"name": "w", "dtype": DType.F32, "shape": (8, 32), "data": np.zeros(1024, np.uint8)}
        backend = self.backend()
        backend.load({"w": Weight(**{**right, **wrong})})
        with pytest.raises(BackendError, match=f"backend {self.backend.name}: weight 'w' has"):
            backend.compile(linear_graph(8, 32, DType.F32))
        backend.load({})
        with pytest.raises(BackendError, match="'w' was not loaded"):
            backend.compile(linear_graph(8, 32, DType.F32))
        backend.close()

    def test_progress_counts_the_bytes_of_all_weights_so_far(self) -> None:
        """Each once, in whatever forms it is needed."""
        weights = {"a": random_weight(DType.Q4_0, 16, "a"), "b": random_weight(DType.F32, 16, "b")}
        x = graph_input("x", ("T", WIDTH), Kind.FLOAT)
        nodes = {name: weight(name, stored.shape, stored.dtype) for name, stored in weights.items()}
        graph = Graph({name: optional(Op.LINEAR, x, node, extra={}) for name, node in nodes.items()})
        done: list[int] = []
        backend = self.backend()
        backend.load(weights, done.append)
        backend.compile(graph)
        backend.compile(graph)
        assert sorted(done) == done
        assert len(done) == 2
        assert done[-1] == sum(stored.data.nbytes for stored in weights.values())
        backend.close()

    def _is_refused(self, dtype: DType) -> bool:
        if dtype not in self.refused:
            return False
        backend = self.backend()
        backend.load({"w": random_weight(dtype, 2)})
        with pytest.raises(BackendError, match=f"'w' is {dtype.name}, which"):
            backend.compile(Graph({"out": weight("w", (2, WIDTH), dtype) + 1.0}))
        backend.close()
        return True
