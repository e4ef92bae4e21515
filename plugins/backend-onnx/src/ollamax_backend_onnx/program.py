"""A compiled program: a session whose states are bound where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ollamax.backend import Program
from ollamax.backend.bounds import Bounds
from ollamax.errors import BackendError, one_line
from ollamax.ml import Graph
from ollamax.ml.reference import NUMPY_KIND
from ollamax.ml.shape import Dim, concrete
from ollamax_backend_onnx.builder import Builder, StatePort
from ollamax_backend_onnx.cancellation import Runs
from ollamax_backend_onnx.runtime import PROCESSOR, open_session

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]


class ONNXProgram(Program):
    """Runs a graph at any size.

    What is bound stays so for as long as sizes stay the same, since each binding is a call from Python.
    """

    def __init__(self, graph: Graph, builder: Builder, runs: Runs, provider: str, threads: int) -> None:
        super().__init__(graph)
        if provider != PROCESSOR and Bounds(graph, "onnx").computed:  # only the processor's checks indices
            raise BackendError(f"backend onnx: {graph.name} computes indices, which {provider} may not check")
        self._runs, self._weights = runs, builder.weights
        self._tables, self._sizes = builder.tables, builder.sizes
        self._ports = [port for port in builder.ports.values() if port.reads or port.written]
        self._kinds = {name: NUMPY_KIND[node.kind] for name, node in graph.inputs.items()}
        self._session, self._held = open_session(builder, provider, threads)
        self._binding = self._session.io_binding()
        self._extents = {dim for port in self._ports for dim in port.dims if isinstance(dim, str)}
        self._stays = provider == PROCESSOR  # any other one copies what it is given when that is bound
        self._bound: dict[str, int] | None = None
        self._given: dict[str, Array] = {}

    def execute(self, inputs: Mapping[str, Array], dims: Mapping[str, int]) -> dict[str, Array]:
        """Bind, run, and hand out the outputs."""
        if self._session is None:
            raise BackendError("backend onnx: the backend was closed")
        given = {name: np.array(inputs[name], kind, order="C") for name, kind in self._kinds.items()}
        given |= {name: self._weights.rows(table, given[ids]) for name, table, ids in self._tables}
        given |= {f"size.{dim}": np.array([dims[dim]], np.int64) for dim in self._sizes}
        for name, value in given.items():
            self._give(name, value)
        apart = self._bind_states(dims)
        outputs = {name: np.empty(concrete(node.shape, dims), np.float32) for name, node in self.graph.outputs.items()}
        for name, value in outputs.items():
            _bind(self._binding.bind_output, name, value)
        try:
            self._runs.run(self._session, self._binding)
        except BackendError:
            raise
        except Exception as error:
            raise BackendError(f"backend onnx: {self.graph.name} failed: {one_line(str(error), 300)}") from error
        for kept, value in apart:
            kept[:] = value
        return outputs

    def _give(self, name: str, value: Array) -> None:
        """Put an input where one of its size was bound before; to bind it is a slow call from Python."""
        held = self._given.get(name)
        if held is not None and held.shape == value.shape and self._stays:
            held[...] = value
            return
        _bind(self._binding.bind_input, name, value)
        self._given[name] = value

    def _bind_states(self, dims: Mapping[str, int]) -> list[tuple[Array, Array]]:
        """Bind what is not yet bound at these extents; what has to be put back where one address would not do."""
        extents = {dim: dims[dim] for dim in self._extents}
        if extents == self._bound and self._stays:
            return []
        self._bound = None
        apart = [copy for port in self._ports for copy in _bind_state(self._binding, port, dims)]
        self._bound = None if apart else extents
        return apart

    def close(self) -> None:
        """Release the session, and then what it used."""
        self._session = self._binding = None
        self._held = []


def _bind(bind: Any, name: str, value: Array) -> None:
    bind(name, "cpu", 0, value.dtype.type, value.shape, value.ctypes.data)


def _bind_state(binding: Any, port: StatePort, dims: Mapping[str, int]) -> list[tuple[Array, Array]]:
    """Bind a state, for input and output at one address; what has to be put back where that would not do."""
    cells = [_size(dim, dims) for dim in port.dims]
    if max(cells, default=0) > port.state.cells:
        raise BackendError(
            f"backend onnx: {max(cells)} cells are used of state {port.state.name!r} with {port.state.cells}"
        )
    extent = None if port.extent is None else _size(port.extent, dims)
    apart = []
    names = [name for name, _, _ in port.state.parts(port.extent)]
    for name, kept in zip(names, port.state.arrays(extent), strict=True):
        _bind(binding.bind_input, name, kept)
        if port.written:
            target = np.empty_like(kept) if port.apart else kept
            _bind(binding.bind_output, f"{name}.next", target)
            if port.apart:
                apart.append((kept, target))
    return apart


def _size(dim: Dim, dims: Mapping[str, int]) -> int:
    return dim if isinstance(dim, int) else dims[dim]
