"""Loading: from a name to a model that runs."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from dataclasses import replace
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ollamax import config
from ollamax.arch import Architecture, VisionArchitecture
from ollamax.backend import Backend
from ollamax.convert.nan_watch import NaNWatch
from ollamax.engine.assemble import Progress, backend_options, prepare
from ollamax.engine.model import Model, Parts
from ollamax.engine.options import Options, parameters
from ollamax.engine.picture import PictureReader
from ollamax.engine.resolve import Kind, ResolvedModel, resolve
from ollamax.engine.runner import Runner
from ollamax.engine.source import open_source
from ollamax.engine.weight_bytes import step_bytes
from ollamax.errors import OptionError, one_line
from ollamax.plugins import Registry, get_registry
from ollamax.store import compiled_directory
from ollamax.template import choose_template
from ollamax.tokenizer.registry import build_tokenizer
from ollamax.types import TensorSource

if TYPE_CHECKING:
    from ollamax.tokenizer.base import Tokenizer


def load(
    name: str | PathLike[str],
    *,
    backend: str = "auto",
    template: str | None = None,
    parallel: int = 1,
    cache_type: str | None = None,
    device: str | None = None,
    progress: Progress | None = None,
    warn: Callable[[str], object] | None = None,
    **options: Any,
) -> Model:
    """Load a model: a name in the store or of a bundled model, a .gguf file, or a Hugging Face directory.

    ``backend`` is a backend's name, or "auto" for the fastest here for its weights, ``device`` one of its own (by
    default what ``OLLAMAX_DEVICE`` says, or the fastest). ``template`` (Go syntax) replaces the model's own.
    ``parallel`` is the number of sequences that the cache holds, ``cache_type`` how it stores them (f32, f16, q8_0; by
    default what ``OLLAMAX_KV_CACHE_TYPE`` says, or f32). ``options`` are those of Modelfiles, such as ``num_ctx`` (or
    its alias ``context_length``); they become the defaults of every generation. ``progress`` is called with the bytes
    done and the bytes in all. ``warn`` is called with a sentence on each tensor of a Hugging Face directory that holds
    NaN; without it that is a RuntimeWarning. Raises an OllamaxError that says what is wrong.
    """
    _check_parallel(parallel)
    began, registry, found = time.perf_counter(), get_registry(), resolve(str(name))
    chosen = Options().merge(parameters(found.modelfile.parameters)).merge(options)
    modelfile = found.modelfile if template is None else replace(found.modelfile, template=template)
    with ExitStack() as cleanup:
        source = cleanup.enter_context(closing(open_source(found.path, registry)))
        asked = backend_options(chosen, cache_type, device, _keep(found))
        engine_class = registry.backend(backend, source, splitting=chosen.num_gpu > 0, device=asked.device)
        tokenizer = build_tokenizer(source.metadata, registry.tokenizers)
        prompts = choose_template(modelfile.template, source.metadata)
        engine = cleanup.enter_context(closing(engine_class(asked)))
        told: list[str] = []
        weights = NaNWatch(source, warn or told.append) if found.path.is_dir() else source
        built = _runner(found.path, weights, tokenizer, registry, engine, chosen, parallel, progress)
        _warn(told)
        cleanup.pop_all()
    seconds = time.perf_counter() - began
    return Model(Parts(found.name, source, modelfile, tokenizer, prompts, engine, *built, chosen, seconds))


def _warn(told: Iterable[str]) -> None:
    """Warnings of the line that calls ``load``."""
    for text in told:
        warnings.warn(text, RuntimeWarning, stacklevel=3)


def load_tokenizer(path: str | PathLike[str]) -> Tokenizer:
    """The tokenizer of a .gguf file (with or without tensors), a Hugging Face directory, or a model by name.

    Raises ModelNotFoundError, and TokenizerError where no installed plugin provides what the file names.
    """
    registry = get_registry()
    source = open_source(resolve(str(path)).path, registry)
    try:
        return build_tokenizer(source.metadata, registry.tokenizers)
    finally:
        source.close()


def _check_parallel(parallel: object) -> None:
    if isinstance(parallel, bool) or not isinstance(parallel, Integral) or int(parallel) < 1:
        raise OptionError(f"parallel is {one_line(repr(parallel), 40)}, expected a whole number, at least 1")


def _keep(found: ResolvedModel) -> Path | None:
    """Only what the store holds is kept compiled: its name is a digest of the weights."""
    stored = found.kind is Kind.STORE and config.keep_compiled()
    return compiled_directory(found.path) if stored else None


def _runner(
    path: Path,
    source: TensorSource,
    tokenizer: Tokenizer,
    registry: Registry,
    engine: Backend,
    options: Options,
    parallel: int,
    progress: Progress | None,
) -> tuple[Runner, PictureReader | None, int]:
    """Everything that is made of a file, in the order in which mistakes are found cheaply.

    The number is that of the bytes of weights that a decode step reads.
    """
    model, traced = prepare(path, source, tokenizer, registry, engine, options, parallel, progress)
    read = step_bytes(traced.step, source.tensors, engine)
    return Runner(engine, traced), _picture_reader(model, tokenizer, options), read


def _picture_reader(model: Architecture, tokenizer: Tokenizer, options: Options) -> PictureReader | None:
    if not isinstance(model, VisionArchitecture):
        return None
    return PictureReader(model, tokenizer.token_text(model.image_token), options.num_images)
