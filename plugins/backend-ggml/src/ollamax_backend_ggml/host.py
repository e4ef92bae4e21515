"""The part of a graph that is computed here, not by the library: integers and booleans made of a step's inputs.

Positions, rows and masks are small, need more than float32's 24 bits, and tell which cells a step looks at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ollamax.errors import BackendError, GraphError
from ollamax.ml import Graph, Kind, Op, Tensor
from ollamax.ml.reference import IMPLEMENTATIONS, NUMPY_KIND

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

Values = dict[Tensor, "Array"]


class Host:
    """Which nodes are computed here, and their computation. Raises GraphError for integers made of weights."""

    def __init__(self, graph: Graph) -> None:
        known = {node for node in graph.nodes if node.op in (Op.INPUT, Op.CONST)}
        self.nodes = set(known)
        for node in graph.nodes:
            if node.srcs and node.kind is not Kind.FLOAT and known.issuperset(node.srcs):
                known.add(node)
                self.nodes.add(node)
            elif node.kind is Kind.INT and node.op is not Op.INPUT and node not in known:
                raise GraphError(
                    f"backend ggml cannot run {graph.name}: {node!r} makes integers of weights or float32 results"
                )
        self._inputs = [(name, node, NUMPY_KIND[node.kind]) for name, node in graph.inputs.items()]
        self._constants: Values = {
            node: np.asarray(node.attrs["value"], NUMPY_KIND[node.kind]) for node in graph.nodes if node.op is Op.CONST
        }
        self._steps = [(node, IMPLEMENTATIONS[node.op]) for node in self._needed(graph)]

    def constant(self, node: Tensor) -> Array:
        """The value of a CONST node."""
        return self._constants[node]

    def run(self, inputs: Mapping[str, Array], dims: Mapping[str, int]) -> Values:
        """Values of inputs, constants and the nodes that are computed here."""
        values = dict(self._constants)
        for name, node, kind in self._inputs:
            values[node] = np.asarray(inputs[name], kind)
        for node, function in self._steps:
            values[node] = np.asarray(function(node, dims, *[values[src] for src in node.srcs]), NUMPY_KIND[node.kind])
        return values

    def _needed(self, graph: Graph) -> Iterable[Tensor]:
        """Computed nodes that something outside needs, in order."""
        wanted = {node for node in graph.outputs.values() if node in self.nodes}
        for node in reversed(graph.nodes):
            if node in wanted or node not in self.nodes:
                wanted.update(src for src in node.srcs if src in self.nodes)
        return [node for node in graph.nodes if node in wanted and node.srcs]


Write = Callable[..., None]
"""Puts values of nodes into the memory of a tensor, which is given first and flat."""


def write_floats(place: Array, value: Array) -> None:
    """As float32."""
    np.copyto(place, value.reshape(-1), casting="unsafe")


def write_mask(place: Array, visible: Array) -> None:
    """As float16 in the bits of uint16: 0 where a key is visible, else minus infinity."""
    hidden = np.logical_not(visible).view(np.uint8).reshape(-1)
    np.multiply(hidden, np.uint16(0xFC00), out=place, casting="unsafe")


@dataclass(frozen=True)
class IndexWriter:
    """As int32; raises BackendError for a value outside ``low`` to ``high`` (exclusive), which the library trusts.

    ``checked`` says that core has looked already.
    """

    low: int
    high: int
    what: str
    checked: bool = False

    def __call__(self, place: Array, value: Array) -> None:
        """Fill ``place``."""
        if not self.checked:
            check_range(value, self.low, self.high, self.what)
        np.copyto(place, value.reshape(-1), casting="unsafe")


@dataclass(frozen=True)
class RowWriter:
    """Rows ``(N, T)`` of ``rows`` in each of ``groups`` as numbers of rows in all.

    The groups are given ``(N,)``, or are 0, 1, ... to ``groups``. ``checked`` says that core has looked already.
    """

    groups: int
    rows: int
    what: str
    checked: bool = False

    def __call__(self, place: Array, row: Array, group: Array | None = None) -> None:
        """Fill ``place``."""
        chosen = np.arange(self.groups) if group is None else group
        if not self.checked:
            check_range(chosen, 0, self.groups, self.what)
            check_range(row, 0, self.rows, self.what)
        np.copyto(place, (chosen[:, None] * self.rows + row).reshape(-1), casting="unsafe")


def check_range(value: Array, low: int, high: int, what: str) -> None:
    """Raise BackendError for a value outside ``low`` to ``high`` (exclusive)."""
    if value.size and (int(value.min()) < low or int(value.max()) >= high):
        bad = int(value.min()) if int(value.min()) < low else int(value.max())
        raise BackendError(f"backend ggml: {what} holds {bad}, expected {low} to {high - 1}")
