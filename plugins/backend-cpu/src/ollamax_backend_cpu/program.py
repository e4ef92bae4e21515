"""A compiled program: a list of kernels with their sources, run in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ollamax.backend import Program, States
from ollamax.errors import BackendError
from ollamax.ml import Graph, Op, Tensor
from ollamax.ml.reference import NUMPY_KIND
from ollamax_backend_cpu.kernels import NOTHING, Builder, Kernel
from ollamax_backend_cpu.states import CPUState
from ollamax_backend_cpu.threads import BLAS
from ollamax_backend_cpu.weights import Weights

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Step:
    """Run ``kernel`` on the values at ``sources``, put the result at ``target``, then forget the values at ``dead``."""

    kernel: Kernel
    sources: tuple[int, ...]
    target: int
    dead: tuple[int, ...]


class CPUProgram(Program):
    """Runs a graph with NumPy on ``threads`` threads; values live in a list, by the number of their node."""

    def __init__(self, graph: Graph, weights: Weights, states: States[CPUState], threads: int | None) -> None:
        super().__init__(graph)
        self._threads, self._states = threads, states
        numbers = {node: number for number, node in enumerate(graph.nodes)}
        builder = Builder(graph, weights, states)
        self._outputs = {name: numbers[node] for name, node in graph.outputs.items()}
        self._inputs = [(name, numbers[node], NUMPY_KIND[node.kind]) for name, node in graph.inputs.items()]
        self._fixed: list[Array | None] = [None] * len(graph.nodes)
        for node in graph.nodes:
            self._fixed[numbers[node]] = _fixed_value(node, builder)
        computed = [node for node in graph.nodes if node.srcs]
        dead = _last_uses(computed, set(graph.outputs.values()))
        self._steps = [
            Step(
                builder.kernel(node),
                tuple(numbers[src] for src in node.srcs),
                numbers[node],
                tuple(numbers[old] for old in dead[node]),
            )
            for node in computed
        ]

    def execute(self, inputs: Mapping[str, Array], dims: Mapping[str, int]) -> dict[str, Array]:
        """Run every step; raises BackendError for an index beyond a table that core could not check."""
        self._states.check_open()
        BLAS.use(self._threads)
        values: list[Any] = self._fixed.copy()
        for name, number, kind in self._inputs:
            # A copy: kernels keep values by identity for the length of a step.
            values[number] = np.array(inputs[name], kind)
        try:
            for step in self._steps:
                values[step.target] = step.kernel(dims, *[values[source] for source in step.sources])
                for old in step.dead:
                    values[old] = None
        except IndexError as error:
            raise BackendError(f"backend cpu: {self.graph.name}: {error}") from error
        return {name: np.array(values[number], np.float32) for name, number in self._outputs.items()}


def _fixed_value(node: Tensor, builder: Builder) -> Array | None:
    """What a leaf holds at every run; None for values that come later."""
    if node.op is Op.CONST:
        return np.asarray(node.attrs["value"], NUMPY_KIND[node.kind])
    if node.op is Op.STATE:
        return NOTHING
    if node.op is Op.WEIGHT:
        return NOTHING if builder.is_table(node) else builder.weights.whole(node.attrs["name"])
    return None


def _last_uses(computed: list[Tensor], kept: set[Tensor]) -> dict[Tensor, list[Tensor]]:
    """For each node, the computed values that nothing needs after it."""
    last: dict[Tensor, Tensor] = {}
    for node in computed:
        for src in node.srcs:
            last[src] = node
    dead: dict[Tensor, list[Tensor]] = {node: [] for node in computed}
    for src, user in last.items():
        if src.srcs and src not in kept:
            dead[user].append(src)
    return dead
