"""Bounds of what a graph looks up, for a library that reads and writes beyond an array without asking.

Core checks what inputs bound themselves (check.py); this finds the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ollamax.errors import BackendError
from ollamax.ml.graph import Graph, state_name
from ollamax.ml.ops import Op
from ollamax.ml.shape import Dim, concrete
from ollamax.ml.tensor import Tensor

if TYPE_CHECKING:
    from ollamax.backend.base import Array
_GIVEN = (Op.INPUT, Op.CONST)


class Bounds:
    """The indices of a graph: given ones are checked before a run, those that it has ``computed`` in its midst.

    ``backend`` is the name in messages.
    """

    def __init__(self, graph: Graph, backend: str) -> None:
        self._name, self._backend = graph.name, backend
        pairs = dict.fromkeys(pair for node in graph.nodes for pair in _look_ups(node))
        self._given = [(ids, limit) for ids, limit in pairs if ids.op in _GIVEN]
        self.computed = frozenset(ids for ids, _ in pairs if ids.op not in _GIVEN)
        reads = [node for node in graph.nodes if node.op is Op.STATE_READ]
        self._cells = {(state_name(node), node.srcs[0].shape[1], node.attrs["cells"]) for node in reads}

    def check(self, inputs: Mapping[str, Array], dims: Mapping[str, int]) -> None:
        """Raise BackendError for more cells than a state has, and for an index that core has not checked."""
        for name, *sizes in self._cells:
            kept, cells = concrete(sizes, dims)
            if cells > kept:
                raise BackendError(f"backend {self._backend}: {cells} cells are used of state {name!r} with {kept}")
        for ids, limit in self._given:
            bound = ids.attrs.get("bound")
            if bound is None or concrete((bound,), dims) > concrete((limit,), dims):
                known = inputs[ids.attrs["name"]] if ids.op is Op.INPUT else np.asarray(ids.attrs["value"])
                self._check(known, limit, dims)

    def check_computed(self, node: Tensor, value: Callable[[Tensor], Any], dims: Mapping[str, int]) -> None:
        """Raise BackendError for an index out of bounds that the graph computes for ``node``; computes it now."""
        for ids, limit in _look_ups(node):
            if ids in self.computed:
                self._check(np.array(value(ids)), limit, dims)

    def _check(self, indices: Array, limit: Dim, dims: Mapping[str, int]) -> None:
        low, high = (int(indices.min()), int(indices.max())) if indices.size else (0, 0)
        (size,) = concrete((limit,), dims)
        if low < 0 or high >= size:
            bad = low if low < 0 else high
            raise BackendError(f"backend {self._backend}: {self._name} has the index {bad}, expected 0 to {size - 1}")


def _look_ups(node: Tensor) -> Iterator[tuple[Tensor, Dim]]:
    """Indices and their exclusive limits."""
    if node.op in (Op.TAKE, Op.EMBEDDING, Op.STATE_READ, Op.STATE_WRITE):
        yield node.srcs[1], node.srcs[0].shape[0]
    if node.op is Op.GATHER:
        yield node.srcs[1], node.srcs[0].shape[1]
    if node.op is Op.STATE_WRITE:
        yield node.srcs[2], node.srcs[0].shape[1]
