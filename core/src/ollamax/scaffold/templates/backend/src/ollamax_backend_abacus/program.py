"""A compiled program, which is the graph itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ollamax.backend import Program, States, StoredWeights
from ollamax.errors import BackendError
from ollamax.ml import Graph, Op
from ollamax.ml.dtype import dequantize
from ollamax.ml.reference import evaluate
from ollamax.ml.shape import concrete
from ollamax_backend_abacus.states import AbacusState

Array = npt.NDArray[Any]


class AbacusProgram(Program):
    """Evaluates the graph op by op; states are shared with the backend's other programs."""

    def __init__(self, graph: Graph, weights: StoredWeights, states: States[AbacusState]) -> None:
        super().__init__(graph)
        self._states = states
        self._weights: dict[str, Array] = {}
        for node in graph.nodes:
            if node.op is Op.WEIGHT:
                stored = weights.find(node.attrs["name"], node.shape)
                self._weights[stored.name] = dequantize(stored.data, stored.dtype, stored.shape)
                weights.count(stored)

    def execute(self, inputs: Mapping[str, Array], dims: Mapping[str, int]) -> dict[str, Array]:
        """Compute; raises BackendError for a cell or an index that core could not check."""
        self._states.check_open()
        self._check_cells(dims)
        held = {name: self._states.find(name).values for name in self.graph.states}
        try:
            found = evaluate(self.graph, inputs, dims, self._weights, held)
        except IndexError as error:
            raise BackendError(f"backend abacus: {self.graph.name}: {error}") from error
        for name, values in held.items():
            self._states.find(name).values = values
        return {name: np.array(value, np.float32) for name, value in found.items()}

    def _check_cells(self, dims: Mapping[str, int]) -> None:
        for node in self.graph.nodes:
            if node.op is Op.STATE_READ:
                cells, held = concrete((node.attrs["cells"], node.srcs[0].shape[1]), dims)
                if cells > held:
                    raise BackendError(f"backend abacus: {cells} cells are used of a state with {held}")
