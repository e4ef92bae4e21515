"""Tracing: run a model's ``forward`` once to get the graphs that a backend compiles."""

from __future__ import annotations

from dataclasses import dataclass

from ollamax.arch.base import Architecture, Batch
from ollamax.errors import BindingError, GraphError
from ollamax.ml.graph import Graph


@dataclass(frozen=True, slots=True)
class Traced:
    """``step`` turns tokens into ``logits (N, R, vocabulary)``; ``shift`` moves cached keys."""

    step: Graph
    shift: Graph


def trace(model: Architecture, vocabulary: int, slots: int, cells: int, origin: str) -> Traced:
    """The graphs of a bound model; raises BindingError when the file's tensors do not fit each other."""
    cache = model.cache(slots, cells)
    try:
        logits = model.forward(Batch.traced(vocabulary), cache)
        shift = cache.shift_graph(model.shift)
    except GraphError as error:
        raise BindingError(f"the tensors of {origin} do not fit architecture {model.name}: {error}") from error
    if logits.shape != ("N", "R", vocabulary):
        raise BindingError(
            f"architecture {model.name} gives logits {logits.shape} for {origin}, expected {vocabulary}: "
            "as many as its tokenizer has tokens"
        )
    return Traced(Graph({"logits": logits}, name=f"{model.name} step"), shift)
