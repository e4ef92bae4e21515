"""What core checks before a backend sees an input: native code may abort the process on a bad index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ollamax.errors import BackendError
from ollamax.ml.graph import Graph
from ollamax.ml.shape import concrete

if TYPE_CHECKING:
    import numpy.typing as npt


def check_inputs(graph: Graph, inputs: Mapping[str, npt.NDArray[Any]], dims: Mapping[str, int]) -> None:
    """Raise BackendError unless every input is there, has its shape, and keeps its bound."""
    missing = sorted(graph.dims - dims.keys())
    if missing:
        raise BackendError(f"{graph.name}: no value for dimension {', '.join(missing)}")
    for name, node in graph.inputs.items():
        if name not in inputs:
            raise BackendError(f"{graph.name}: input {name!r} is missing; given: {', '.join(sorted(inputs))}")
        value, expected = inputs[name], concrete(node.shape, dims)
        if value.shape != expected:
            raise BackendError(f"{graph.name}: input {name!r} has shape {value.shape}, expected {expected}")
        bound = node.attrs["bound"]
        if bound is not None and value.size:
            (limit,) = concrete((bound,), dims)
            # A step of one token, which happens most, has inputs of one value.
            low, high = (value.item(),) * 2 if value.size == 1 else (int(value.min()), int(value.max()))
            if low < 0 or high >= limit:
                bad = low if low < 0 else high
                raise BackendError(f"{graph.name}: input {name!r} holds {bad}, expected 0 to {limit - 1}")
