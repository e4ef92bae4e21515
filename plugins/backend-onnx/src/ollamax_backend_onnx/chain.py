"""A program of several sessions, one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ollamax.backend import Program
from ollamax.ml import Graph
from ollamax_backend_onnx.pieces import GIVEN, TAKEN
from ollamax_backend_onnx.program import ONNXProgram

if TYPE_CHECKING:
    from ollamax.backend.base import Array


class Chain(Program):
    """Each of ``programs`` takes what the one before gave; other programs may have some of them too."""

    def __init__(self, graph: Graph, programs: Sequence[ONNXProgram]) -> None:
        super().__init__(graph)
        self._programs = programs

    def execute(self, inputs: Mapping[str, Array], dims: Mapping[str, int]) -> dict[str, Array]:
        """Run them."""
        found: dict[str, Array] = {}
        for program in self._programs:
            found |= program.execute({**inputs, TAKEN: found[GIVEN]} if GIVEN in found else inputs, dims)
        return {name: found[name] for name in self.graph.outputs}
