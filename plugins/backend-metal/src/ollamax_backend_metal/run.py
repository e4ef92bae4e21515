"""One run of a graph: the value of each node, collected by MLX and not yet computed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np

from ollamax.backend import States
from ollamax.errors import BackendError
from ollamax.ml import Graph, Kind, Op, Tensor
from ollamax.ml.graph import state_name
from ollamax.ml.reference import NUMPY_KIND
from ollamax.ml.shape import concrete
from ollamax_backend_metal.states import MLXState
from ollamax_backend_metal.weights import Weights

if TYPE_CHECKING:
    from ollamax.backend.base import Array
MLX_KIND = {Kind.FLOAT: mx.float32, Kind.INT: mx.int64, Kind.BOOL: mx.bool_}

Kernel = Callable[["Run", Tensor], Any]


class Run:
    """What kernels ask for: values of nodes, sizes, weights, and versions of states."""

    def __init__(self, graph: Graph, inputs: Mapping[str, Array], dims: Mapping[str, int], weights: Weights) -> None:
        self.graph, self.inputs, self.dims, self.weights = graph, inputs, dims, weights
        self.values: dict[Tensor, Any] = {}
        self.versions: dict[Tensor, list[Any]] = {}
        self._made: dict[Hashable, Any] = {}

    def walk(self, kernels: Mapping[Op, Kernel], states: States[MLXState]) -> None:
        """Collect every node, sources first."""
        for node in self.graph.nodes:
            if node.op is Op.STATE:
                self.versions[node] = states.find(node.attrs["name"]).version
            elif node.op is Op.STATE_READ:
                self.values[node] = self._read(node, states)
            elif node.op is Op.STATE_WRITE:
                self.versions[node] = self._write(node, states)
            elif node.srcs:
                self.values[node] = kernels[node.op](self, node)

    def value(self, node: Tensor) -> Any:
        """The value of a source; a leaf becomes one when it is first asked for."""
        if node not in self.values:
            self.values[node] = self._leaf(node)
        return self.values[node]

    def _leaf(self, node: Tensor) -> Any:
        if node.op is Op.WEIGHT:
            return self.weights.whole(node.attrs["name"])
        given = self.inputs[node.attrs["name"]] if node.op is Op.INPUT else node.attrs["value"]
        return mx.array(np.asarray(given, NUMPY_KIND[node.kind]), MLX_KIND[node.kind])

    def sizes(self, node: Tensor) -> tuple[int, ...]:
        """The shape of ``node`` in this run."""
        return concrete(node.shape, self.dims)

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What several nodes share, made by the first of them."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def indices(self, node: Tensor, limit: int) -> Any:
        """The value of ``node``, all of it in 0 to ``limit - 1``: MLX reads beyond an array without asking.

        What core has checked is not looked at again; what the graph computes is computed now.
        """
        bound = node.attrs.get("bound") if node.op is Op.INPUT else None
        if bound is None or concrete((bound,), self.dims)[0] > limit:
            known = self.inputs[node.attrs["name"]] if node.op is Op.INPUT else np.array(self.value(node))
            low, high = (int(known.min()), int(known.max())) if known.size else (0, 0)
            if low < 0 or high >= limit:
                bad = low if low < 0 else high
                raise BackendError(f"backend metal: {self.graph.name} has the index {bad}, expected 0 to {limit - 1}")
        return self.value(node)

    def _read(self, node: Tensor, states: States[MLXState]) -> Any:
        held, slots = node.srcs
        state = states.find(state_name(held))
        (cells,) = concrete((node.attrs["cells"],), self.dims)
        if cells > state.cells:
            raise BackendError(f"backend metal: {cells} cells are used of state {state.name!r} with {state.cells}")
        return state.read(self.versions[held], self.indices(slots, state.slots), cells)

    def _write(self, node: Tensor, states: States[MLXState]) -> list[Any]:
        held, slots, rows, values = node.srcs
        state = states.find(state_name(held))
        places = self.indices(slots, state.slots), self.indices(rows, state.cells)
        return state.write(self.versions[held], *places, self.value(values))
