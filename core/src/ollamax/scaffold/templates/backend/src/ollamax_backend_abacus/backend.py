"""The backend class."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ollamax.backend import Backend, BackendOptions, Device, Probe, Program, StoredWeights, Weight
from ollamax.ml import LEAVES, Graph, Op

if TYPE_CHECKING:
    from ollamax.backend.base import Progress


class Abacus(Backend):
    """Runs every op as core defines it. Weights become float32 when a program is built."""

    name = "abacus"
    ops = frozenset(Op) - LEAVES

    def __init__(self, options: BackendOptions | None = None) -> None:
        super().__init__(options)
        self._weights = StoredWeights(self.name, {})

    @classmethod
    def probe(cls) -> Probe:
        """The processor; ``auto`` takes every other backend first."""
        return Probe((Device("cpu", platform.machine() or "CPU", rank=0.0),))

    def load(self, weights: Mapping[str, Weight], progress: Progress | None = None) -> None:
        """Take the weights as they are stored."""
        self.states.check_open()
        self._weights = StoredWeights(self.name, weights, progress)

    def build(self, graph: Graph) -> Program:
        """A program that walks through the graph at every run."""
        from ollamax_backend_abacus.program import AbacusProgram
        from ollamax_backend_abacus.states import AbacusState

        self.states.open(graph, lambda _name, shape: AbacusState(shape))
        return AbacusProgram(graph, self._weights, self.states)

    def close(self) -> None:
        """Let go of weights and states."""
        self._weights = StoredWeights(self.name, {})
        self.states.close()
