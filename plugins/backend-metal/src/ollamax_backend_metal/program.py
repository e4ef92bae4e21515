"""A compiled program: a graph that is walked at every run, since MLX collects operations before it computes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np

from ollamax.backend import Program, States
from ollamax.errors import BackendError, one_line
from ollamax.ml import Graph, Op
from ollamax_backend_metal import attention, elementwise, movement, products
from ollamax_backend_metal.device import MLXDevice
from ollamax_backend_metal.run import Kernel, Run
from ollamax_backend_metal.states import MLXState
from ollamax_backend_metal.weights import Weights

if TYPE_CHECKING:
    from ollamax.backend.base import Array
KERNELS: dict[Op, Kernel] = {**elementwise.KERNELS, **movement.KERNELS, **products.KERNELS, **attention.KERNELS}


class MLXProgram(Program):
    """Runs a graph at any size."""

    def __init__(self, graph: Graph, weights: Weights, states: States[MLXState], device: MLXDevice) -> None:
        super().__init__(graph)
        self._weights, self._states, self._device = weights, states, device
        for node, users in graph.users.items():
            if node.op is Op.WEIGHT:
                weights.find(node.attrs["name"])
                for user in users:
                    products.convert(weights, user, node)

    def execute(self, inputs: Mapping[str, Array], dims: Mapping[str, int]) -> dict[str, Array]:
        """Collect, compute, and hand out copies."""
        self._states.check_open()
        with self._device.used():
            outputs, versions = self._collect(inputs, dims)
            # Nobody but the states holds a version from here on, so that MLX may write where the older one lies.
            for name, version in versions.items():
                self._states.find(name).put(version)
            computed = [*outputs.values(), *(part for version in versions.values() for part in version)]
            names = list(versions)
            del versions
            try:
                self._device.evaluate(computed)
            except Exception as error:
                for name in names:
                    self._states.find(name).put(())
                raise self._failure(error) from error
            return {name: np.array(value) for name, value in outputs.items()}

    def _collect(
        self, inputs: Mapping[str, Array], dims: Mapping[str, int]
    ) -> tuple[dict[str, Any], dict[str, list[Any]]]:
        """Outputs and new versions of states, with nothing else that would keep memory."""
        run = Run(self.graph, inputs, dims, self._weights)
        try:
            run.walk(KERNELS, self._states)
            outputs = {name: run.value(node).astype(mx.float32) for name, node in self.graph.outputs.items()}
        except BackendError:
            raise
        except Exception as error:
            raise self._failure(error) from error
        return outputs, {name: run.versions[node] for name, node in self.graph.writes.items()}

    def _failure(self, error: Exception) -> BackendError:
        return BackendError(f"backend metal: {self.graph.name} failed: {one_line(str(error), 300)}")
