"""Tracing: run a model's ``forward`` once to get the graphs that a backend compiles."""

from __future__ import annotations

from dataclasses import dataclass

from ollamax.arch.base import Architecture, Batch, VisionArchitecture
from ollamax.arch.names import name_tensors
from ollamax.errors import BindingError, GraphError
from ollamax.kvcache import CacheSize, Layout
from ollamax.ml.graph import Graph
from ollamax.ml.narrow import narrow
from ollamax.ml.nn.calls import recording
from ollamax.ml.tensor import Tensor


@dataclass(frozen=True, slots=True)
class TracedVision:
    """``encode`` puts a picture into the encoder cache; ``step`` serves sequences of which some have pictures."""

    encode: Graph
    step: Graph


@dataclass(frozen=True, slots=True)
class Traced:
    """``step`` turns tokens into ``logits (N, R, vocabulary)``; ``shift`` moves cached keys.

    ``size`` is what the caches hold, ``layouts`` how each of them does. ``vision`` is None for a model that sees no
    pictures.
    """

    step: Graph
    shift: Graph
    size: CacheSize
    layouts: tuple[Layout, ...]
    vision: TracedVision | None = None

    @property
    def graphs(self) -> list[Graph]:
        """All that a backend has to run."""
        return [self.step, self.shift, *([self.vision.encode, self.vision.step] if self.vision else [])]


def trace(model: Architecture, vocabulary: int, size: CacheSize, origin: str, pictures: int = 1) -> Traced:
    """The graphs of a bound model; raises BindingError when the file's tensors do not fit each other.

    ``pictures`` is how many each sequence may have, if the model sees any.
    """
    cache, batch = model.cache(size), Batch.traced(vocabulary)
    try:
        step = _step(model, model.forward(batch, cache), "step", vocabulary, origin)
        shift = cache.shift_graph(model.shift)
        if not isinstance(model, VisionArchitecture):
            return Traced(step, shift, size, tuple(cache.layouts))
        encoder = model.encoder_cache(size.slots, pictures)
        encode = Graph({}, model.encode(encoder), name=f"{model.name} encode")
        logits = model.forward_seeing(batch, cache, encoder)
        vision = TracedVision(encode, _step(model, logits, "step with pictures", vocabulary, origin))
        return Traced(step, shift, size, tuple(cache.layouts), vision)
    except GraphError as error:
        raise BindingError(f"the tensors of {origin} do not fit architecture {model.name}: {error}") from error


def trace_named(model: Architecture, vocabulary: int, size: CacheSize, origin: str) -> tuple[Graph, tuple[Layout, ...]]:
    """The graph of a step without pictures whose outputs are all named tensors, see :mod:`ollamax.arch.names`.

    Any backend compiles it as it does ``step``. Raises BindingError as ``trace`` does.
    """
    cache, batch = model.cache(size), Batch.traced(vocabulary)
    try:
        with recording() as calls:
            logits = model.forward(batch, cache)
        _check_logits(model, logits, vocabulary, origin)
        graph = Graph(name_tensors(model, calls, logits), name=f"{model.name} trace")
    except GraphError as error:
        raise BindingError(f"the tensors of {origin} do not fit architecture {model.name}: {error}") from error
    return graph, tuple(cache.layouts)


def _step(model: Architecture, logits: Tensor, name: str, vocabulary: int, origin: str) -> Graph:
    _check_logits(model, logits, vocabulary, origin)
    return narrow(Graph({"logits": logits}, name=f"{model.name} {name}"))


def _check_logits(model: Architecture, logits: Tensor, vocabulary: int, origin: str) -> None:
    if logits.shape != ("N", "R", vocabulary):
        raise BindingError(
            f"architecture {model.name} gives logits {logits.shape} for {origin}, expected {vocabulary}: "
            "as many as its tokenizer has tokens"
        )
