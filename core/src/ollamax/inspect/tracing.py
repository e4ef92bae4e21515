"""Running a model once, on any backend, with all its named tensors as outputs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing

import numpy as np

from ollamax.arch import Architecture
from ollamax.arch.trace import trace_named
from ollamax.backend import Backend
from ollamax.engine.assemble import backend_options, bound_model, load_weights
from ollamax.engine.options import Options, parameters
from ollamax.engine.resolve import ResolvedModel
from ollamax.engine.source import open_source
from ollamax.inspect.trace import Array, Trace, check_tokens, source_digest
from ollamax.kvcache import CacheSize, Layout
from ollamax.kvcache.book import CacheBook
from ollamax.ml import Graph
from ollamax.plugins import Registry
from ollamax.tokenizer.registry import build_tokenizer
from ollamax.types import DType, TensorSource

_EXACT = (DType.F64, DType.F32, DType.F16, DType.BF16)
"""Plain types, the most exact first; every other is less exact than these."""


def trace_model(
    model: ResolvedModel,
    prompt: str | Sequence[int],
    registry: Registry,
    backend: str = "auto",
    *,
    digest: bool = False,
) -> Trace:
    """What ``model`` computes for ``prompt``, text or token ids, without pictures, in one step on an empty cache.

    The cache is float32. ``digest`` takes that of the weights, which reads all of them. Raises UsageError for a prompt
    that the model cannot read, and whatever loading a model does.
    """
    with ExitStack() as cleanup:
        source = cleanup.enter_context(closing(open_source(model.path, registry)))
        tokenizer = build_tokenizer(source.metadata, registry.tokenizers)
        metadata, bound = bound_model(model.path, source, registry)
        family = metadata.string("general.architecture")
        most = metadata.integer(f"{family}.context_length", minimum=1)
        ids = tokenizer.encode(prompt) if isinstance(prompt, str) else prompt
        tokens = check_tokens(ids, tokenizer.n_vocab, most, model.name)
        size = CacheSize(1, len(tokens), step=len(tokens))
        graph, layouts = trace_named(bound, tokenizer.n_vocab, size, str(model.path))
        chosen = Options().merge(parameters(model.modelfile.parameters))
        asked = backend_options(chosen, cache_type="f32")
        engine = cleanup.enter_context(closing(registry.backend(backend, source, device=asked.device)(asked)))
        engine.check(graph)
        load_weights(engine, source)
        return Trace(
            model=model.name,
            digest=source_digest(source) if digest else "",
            architecture=family,
            made_by=engine.name,
            weights=_least_exact(source),
            vocabulary=tokenizer.n_vocab,
            layers=metadata.integer(f"{family}.block_count", 0),
            tokens=tokens,
            tensors=_run(engine, graph, layouts, tokens),
            modules=modules_with_weights(bound),
        )


def modules_with_weights(model: Architecture) -> frozenset[str]:
    """The paths of the modules of a bound model that hold a tensor."""
    held = (path for path, parameter in model.parameters() if parameter.tensor is not None)
    return frozenset(path.rpartition(".")[0] for path in held)


def _run(engine: Backend, graph: Graph, layouts: Sequence[Layout], tokens: tuple[int, ...]) -> dict[str, Array]:
    ids = np.asarray([tokens], np.int64)
    steps = np.arange(ids.size)[None]
    slots = np.zeros(1, np.int64)
    inputs, dims = CacheBook(layouts, 1, engine.dim_steps).append(slots, steps)
    inputs |= {"tokens": ids, "positions": steps, "outputs": steps, "slots": slots}
    dims |= {"N": 1, "T": ids.size, "R": ids.size}
    program = engine.compile(graph)
    wanted = program.graph.inputs
    values = program.run({name: value for name, value in inputs.items() if name in wanted}, dims)
    return {name: np.asarray(values[name][0], np.float32) for name in graph.outputs}


def _least_exact(source: TensorSource) -> str:
    """The least exact type of the matrices; of quantised types, the one with the fewest bits."""

    def exactness(dtype: DType) -> tuple[int, float]:
        bits = dtype.block_bytes / dtype.block_size
        return (-_EXACT.index(dtype), bits) if dtype in _EXACT else (-len(_EXACT), bits)

    matrices = {info.dtype for info in source.tensors.values() if len(info.shape) > 1} or {DType.F32}
    return min(matrices, key=exactness).name
