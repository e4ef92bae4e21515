"""Bounds of what a graph looks up: a library may read and write beyond an array without asking.

Core checks indices that are given, before every run; those that a graph computes, and how many cells of a state a run
looks at, are for backends whose library does not check them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ollamax.errors import BackendError
from ollamax.ml.graph import Graph, state_name
from ollamax.ml.ops import Op
from ollamax.ml.shape import Dim, concrete
from ollamax.ml.tensor import Tensor

if TYPE_CHECKING:
    from ollamax.backend.base import Array
_GIVEN = (Op.INPUT, Op.CONST)


class GivenIndices:
    """The inputs and constants that a graph looks something up with, where they do not say themselves that they may."""

    def __init__(self, graph: Graph) -> None:
        self._name = graph.name
        self._pairs = [
            (ids, limit) for ids, limit in _all_look_ups(graph) if ids.op in _GIVEN and ids.attrs.get("bound") != limit
        ]

    def check(self, inputs: Mapping[str, Array], dims: Mapping[str, int]) -> None:
        """Raise BackendError for one out of bounds that ``check_inputs`` lets through."""
        for ids, limit in self._pairs:
            bound = ids.attrs.get("bound")
            if bound is None or concrete((bound,), dims) > concrete((limit,), dims):
                known = inputs[ids.attrs["name"]] if ids.op is Op.INPUT else ids.attrs["value"]
                _check(self._name, known, limit, dims)


class Bounds:
    """The indices that a graph has ``computed`` in its midst, and the cells that it looks at.

    ``backend`` is the name in messages.
    """

    def __init__(self, graph: Graph, backend: str) -> None:
        self._name = f"backend {backend}: {graph.name}"
        self.computed = frozenset(ids for ids, _ in _all_look_ups(graph) if ids.op not in _GIVEN)
        reads = [node for node in graph.nodes if node.op is Op.STATE_READ]
        self._cells = {(state_name(node), node.srcs[0].shape[1], node.attrs["cells"]) for node in reads}

    def check_cells(self, dims: Mapping[str, int]) -> None:
        """Raise BackendError for more cells than a state has."""
        for name, *sizes in self._cells:
            kept, cells = concrete(sizes, dims)
            if cells > kept:
                raise BackendError(f"{self._name}: {cells} cells are used of state {name!r} with {kept}")

    def check_computed(self, node: Tensor, value: Callable[[Tensor], Any], dims: Mapping[str, int]) -> None:
        """Raise BackendError for an index out of bounds that the graph computes for ``node``; computes it now."""
        for ids, limit in _look_ups(node):
            if ids in self.computed:
                _check(self._name, value(ids), limit, dims)


def _check(name: str, given: Any, limit: Dim, dims: Mapping[str, int]) -> None:
    import numpy as np  # a hook that is only listed does not load it

    indices = np.array(given)
    low, high = (int(indices.min()), int(indices.max())) if indices.size else (0, 0)
    (size,) = concrete((limit,), dims)
    if low < 0 or high >= size:
        bad = low if low < 0 else high
        raise BackendError(f"{name} has the index {bad}, expected 0 to {size - 1}")


def _all_look_ups(graph: Graph) -> dict[tuple[Tensor, Dim], None]:
    """Each pair once, in order."""
    return dict.fromkeys(pair for node in graph.nodes for pair in _look_ups(node))


def _look_ups(node: Tensor) -> Iterator[tuple[Tensor, Dim]]:
    """Indices and their exclusive limits."""
    if node.op in (Op.TAKE, Op.EMBEDDING, Op.STATE_READ, Op.STATE_WRITE):
        yield node.srcs[1], node.srcs[0].shape[0]
    if node.op is Op.GATHER:
        yield node.srcs[1], node.srcs[0].shape[1]
    if node.op is Op.STATE_WRITE:
        yield node.srcs[2], node.srcs[0].shape[1]
