"""A program: a graph that is walked, since MLX collects operations before it computes them, or a compiled walk."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np

from ollamax.backend import Program, States
from ollamax.backend.bounds import Bounds
from ollamax.errors import BackendError, one_line
from ollamax.ml import Graph, Op, Tensor
from ollamax_backend_metal import attention, elementwise, movement, products, states
from ollamax_backend_metal.device import MLXDevice
from ollamax_backend_metal.extents import Extents
from ollamax_backend_metal.forms import Forms
from ollamax_backend_metal.run import Kernel, Run, array
from ollamax_backend_metal.states import MLXState
from ollamax_backend_metal.weights import Weights

if TYPE_CHECKING:
    from ollamax.backend.base import Array
_TABLES = (elementwise, movement, products, attention, states)
KERNELS: dict[Op, Kernel] = {op: kernel for table in _TABLES for op, kernel in table.KERNELS.items()}


class MLXProgram(Program):
    """Runs a graph at any size.

    What takes values comes first: rows of tables are looked up on the host. The rest is a function of arrays alone,
    which MLX can compile, unless the graph computes indices, whose values have to be seen.
    """

    def __init__(self, graph: Graph, weights: Weights, states: States[MLXState], device: MLXDevice) -> None:
        super().__init__(graph)
        self._weights, self._states, self._device = weights, states, device
        products.convert(weights, graph)
        self._bounds = Bounds(graph, "metal")
        self._extents = Extents(graph)
        self._rows = [node for node in graph.nodes if products.from_host(node)]
        self._inputs = [node for node in graph.inputs.values() if _is_needed(graph, node)]
        make = partial(partial, _collect, graph, weights, self._bounds, [*self._inputs, *self._rows])
        self._forms = Forms(make, device.compiles and not self._bounds.computed)

    def reserve(self, dims: Mapping[str, int]) -> None:  # noqa: ARG002 - caches are as long as they are
        """Raise BackendError where main memory would have no room for whole caches, though they are not yet taken."""
        states = [self._states.find(name) for name in self.graph.states]
        self._device.check_room("caches of the whole context", sum(state.whole_bytes for state in states))

    def execute(self, inputs: Mapping[str, Array], dims: Mapping[str, int]) -> dict[str, Array]:
        """Collect, compute, and hand out copies."""
        self._states.check_open()
        self._bounds.check_cells(dims)
        held = [self._states.find(name) for name in self.graph.states]
        for name, cells in self._extents.find(inputs, dims).items():
            self._states.find(name).grow(cells)
        written: list[MLXState] = []
        with self._device.used():
            try:
                outputs, versions = self._forms.find(dims)(self._given(inputs), [state.version for state in held])
                # Nobody but the states holds a version from here on, so that MLX may write where the older one lies.
                written = [self._states.find(name) for name in self.graph.writes]
                for state, version in zip(written, versions, strict=True):
                    state.put(version)
                self._device.evaluate([*outputs, *(part for version in versions for part in version)])
            except BackendError:
                raise
            except Exception as error:
                for state in written:
                    state.put(())
                message = f"backend metal: {self.graph.name} failed: {one_line(str(error), 300)}"
                raise BackendError(message) from error
            return {name: np.array(value) for name, value in zip(self.graph.outputs, outputs, strict=True)}

    def release(self) -> None:
        """Let go of what MLX compiled, which holds weights."""
        del self._forms

    def _given(self, inputs: Mapping[str, Array]) -> list[Any]:
        """Inputs, and rows of the tables that stay on the host."""
        given = [array(inputs[node.attrs["name"]], node.kind) for node in self._inputs]
        for node in self._rows:
            table, ids = (src.attrs["name"] for src in node.srcs)
            given.append(mx.array(self._weights.rows(table, inputs[ids])))
        return given


def _is_needed(graph: Graph, node: Tensor) -> bool:
    """Whether an input is more than indices of tables on the host."""
    return node in graph.outputs.values() or not all(products.from_host(user) for user in graph.users[node])


def _collect(
    graph: Graph,
    weights: Weights,
    bounds: Bounds,
    leaves: list[Tensor],
    dims: Mapping[str, int],
    given: list[Any],
    held: list[list[Any]],
) -> tuple[list[Any], list[list[Any]]]:
    """Outputs and new versions of states, with nothing else that would keep memory."""
    run = Run(weights, dims, dict(zip([*leaves, *graph.states.values()], [*given, *held], strict=True)))
    for node in graph.nodes:
        if node.srcs and node not in run.values:
            if bounds.computed:
                bounds.check_computed(node, run.value, dims)
            run.values[node] = KERNELS[node.op](run, node)
    outputs = [run.value(node).astype(mx.float32) for node in graph.outputs.values()]
    return outputs, [run.values[node] for node in graph.writes.values()]
