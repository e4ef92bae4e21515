"""How many cells of each state a run needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ollamax.ml import Graph, Op
from ollamax.ml.graph import state_name
from ollamax.ml.shape import concrete

if TYPE_CHECKING:
    from ollamax.backend.base import Array


class Extents:
    """Those that a graph looks at, and those that it writes; all where it computes which it writes."""

    def __init__(self, graph: Graph) -> None:
        reads = [node for node in graph.nodes if node.op is Op.STATE_READ]
        writes = [node for node in graph.nodes if node.op is Op.STATE_WRITE]
        given = [node for node in writes if node.srcs[2].op is Op.INPUT]
        self._sizes = {(state_name(node), node.attrs["cells"]) for node in reads}
        self._sizes |= {(state_name(node), node.srcs[0].shape[1]) for node in writes if node not in given}
        self._rows = {(state_name(node), node.srcs[2].attrs["name"]) for node in given}

    def find(self, inputs: Mapping[str, Array], dims: Mapping[str, int]) -> dict[str, int]:
        """The number of cells by state."""
        found: dict[str, int] = {}
        for name, cells in self._all(inputs, dims):
            found[name] = max(found.get(name, 0), cells)
        return found

    def _all(self, inputs: Mapping[str, Array], dims: Mapping[str, int]) -> Iterator[tuple[str, int]]:
        for name, size in self._sizes:
            (cells,) = concrete((size,), dims)
            yield name, cells
        ends = {rows: int(np.max(inputs[rows], initial=-1)) + 1 for _, rows in self._rows}
        for name, rows in self._rows:
            yield name, ends[rows]
