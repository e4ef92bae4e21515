"""Putting a model together: its architecture bound to a file, and the weights in a backend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ollamax import config
from ollamax.arch import Architecture
from ollamax.arch.binding import bind
from ollamax.arch.trace import Traced, trace
from ollamax.backend import Backend, BackendOptions, Weight
from ollamax.engine.context import context_length
from ollamax.engine.options import Options
from ollamax.errors import OptionError
from ollamax.gguf import Metadata
from ollamax.kvcache import CacheSize
from ollamax.plugins import Registry
from ollamax.types import DType, TensorSource

if TYPE_CHECKING:
    from ollamax.backend.base import Progress as Done
    from ollamax.tokenizer.base import Tokenizer

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all."""


def backend_options(
    options: Options, cache_type: str | None = None, device: str | None = None, keep: Path | None = None
) -> BackendOptions:
    """What a model's options and the environment ask of a backend; raises OptionError for an unknown cache type."""
    return BackendOptions(
        threads=options.num_thread or None,
        cache_type=_cache_type(cache_type),
        gpu_layers=None if options.num_gpu < 0 else options.num_gpu,
        device=device or config.device(),
        keep=keep,
    )


def _cache_type(name: str | None) -> DType:
    """The type called ``name``; raises OptionError for what is none."""
    text = name or config.cache_type()
    if text.upper() not in DType.__members__:
        raise OptionError(f"cache type {text!r} is no type; choose f32, f16 or q8_0")
    return DType[text.upper()]


def bound_model(path: Path, source: TensorSource, registry: Registry) -> tuple[Metadata, Architecture]:
    """The model that ``source``, opened from ``path``, asks for; raises ArchitectureError, BindingError, GGUFError."""
    metadata = Metadata(source.metadata, path)
    model = registry.architecture(metadata.string("general.architecture"))(metadata)
    bind(model, source.tensors, str(path))
    return metadata, model


def load_weights(engine: Backend, source: TensorSource, progress: Done | None = None) -> None:
    """Give ``engine`` all tensors of ``source``, which stays open while the backend is loaded."""
    weights = {
        name: Weight(name, info.dtype, info.shape, source.tensor_bytes(name)) for name, info in source.tensors.items()
    }
    engine.load(weights, progress)


def prepare(
    path: Path,
    source: TensorSource,
    tokenizer: Tokenizer,
    registry: Registry,
    engine: Backend,
    options: Options,
    parallel: int,
    progress: Progress | None,
) -> tuple[Architecture, Traced]:
    """Bind, trace, and load the weights: whatever can be wrong with a file is found before weights load."""
    metadata, model = bound_model(path, source, registry)
    cells = context_length(metadata, options)
    size = CacheSize(parallel, cells, step=min(options.num_batch, cells))
    traced = trace(model, tokenizer.n_vocab, size, str(path), options.num_images)
    for graph in traced.graphs:
        engine.check(graph)
    total = sum(info.nbytes for info in source.tensors.values())
    load_weights(engine, source, None if progress is None else lambda done: progress(done, total))
    return model, traced
