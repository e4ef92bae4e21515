"""How many bytes of weights a decode step reads."""

from __future__ import annotations

from collections.abc import Mapping

from ollamax.backend import Backend
from ollamax.ml import Graph, Op
from ollamax.types import TensorInfo


def step_bytes(graph: Graph, tensors: Mapping[str, TensorInfo], backend: Backend) -> int:
    """Bytes of the weights that ``graph``, as traced, reads for one token: each once, and one row of a mere table."""
    total = 0
    for name, node in graph.weights.items():
        users, stored = graph.users[node], tensors[name]
        if all(user.op is Op.EMBEDDING for user in users):
            total += stored.dtype.row_bytes(stored.shape[-1])
        elif any(user.op is Op.LINEAR for user in users):
            total += backend.read_bytes(stored)
        else:
            total += stored.nbytes
    return total
