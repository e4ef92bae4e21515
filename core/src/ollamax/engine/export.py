"""Exporting: a model's graphs and weights as files that another program runs."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from ollamax.arch.trace import Traced
from ollamax.engine.assemble import Progress, backend_options, prepare
from ollamax.engine.options import Options, parameters
from ollamax.engine.resolve import resolve
from ollamax.engine.source import open_source
from ollamax.ml import Graph
from ollamax.new_directory import check_new, new_directory
from ollamax.plugins import get_registry
from ollamax.tokenizer.registry import build_tokenizer


def export(name: str, kind: str, directory: Path, *, progress: Progress | None = None, **options: Any) -> Path:
    """Write the model called ``name`` to the new directory ``directory``, in the format of the backend ``kind``.

    ``options`` are those of :func:`ollamax.load`. Raises what ``new_directory`` and ``load`` do, and BackendError for a
    backend that writes no files.
    """
    registry, found = get_registry(), resolve(name)
    own = Options().merge(parameters(found.modelfile.parameters))
    # Where a model's layers are to be computed is of no concern to its files.
    chosen = replace(own, num_gpu=Options().num_gpu).merge(options)
    check_new(directory)
    engine_class = registry.backend(kind)
    with ExitStack() as cleanup:
        source = cleanup.enter_context(closing(open_source(found.path, registry)))
        tokenizer = build_tokenizer(source.metadata, registry.tokenizers)
        engine = cleanup.enter_context(closing(engine_class(backend_options(chosen, cache_type="f32"))))
        _, traced = prepare(found.path, source, tokenizer, registry, engine, chosen, 1, progress)
        with new_directory(directory) as folder:
            engine.export(_named(traced), folder)
    return directory


def _named(traced: Traced) -> dict[str, Graph]:
    """Each graph under the name of its file."""
    graphs = {"step": traced.step, "shift": traced.shift}
    if traced.vision:
        graphs |= {"encode": traced.vision.encode, "step-with-pictures": traced.vision.step}
    return graphs
