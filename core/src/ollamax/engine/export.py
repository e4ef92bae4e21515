"""Exporting: a model's graphs and weights as files that another program runs."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from ollamax.arch.trace import Traced
from ollamax.backend import BackendOptions
from ollamax.engine.assemble import Progress, prepare
from ollamax.engine.options import Options, parameters
from ollamax.engine.resolve import resolve
from ollamax.engine.source import open_source
from ollamax.errors import UsageError
from ollamax.ml import Graph
from ollamax.plugins import get_registry
from ollamax.tokenizer.registry import build_tokenizer


def export(name: str, kind: str, directory: Path, *, progress: Progress | None = None, **options: Any) -> Path:
    """Write the model called ``name`` to the new directory ``directory``, in the format of the backend ``kind``.

    ``options`` are those of :func:`ollamax.load`. The directory appears when everything is written. Raises UsageError
    where it exists and is not empty, and BackendError for a backend that writes no files.
    """
    registry, found = get_registry(), resolve(name)
    chosen = Options().merge(parameters(found.modelfile.parameters)).merge(options)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageError(f"{directory} exists and is not an empty directory; name a new one")
    engine_class = registry.backend(kind)
    with ExitStack() as cleanup:
        source = cleanup.enter_context(closing(open_source(found.path, registry)))
        tokenizer = build_tokenizer(source.metadata, registry.tokenizers)
        engine = cleanup.enter_context(closing(engine_class(BackendOptions(chosen.num_thread or None))))
        _, traced = prepare(found.path, source, tokenizer, registry, engine, chosen, 1, progress)
        directory.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
        cleanup.callback(shutil.rmtree, unfinished, ignore_errors=True)
        engine.export(_named(traced), unfinished)
        unfinished.chmod(0o777 & ~_umask())
        unfinished.replace(directory)
    return directory


def _named(traced: Traced) -> dict[str, Graph]:
    """Each graph under the name of its file."""
    graphs = {"step": traced.step, "shift": traced.shift}
    if traced.vision:
        graphs |= {"encode": traced.vision.encode, "step-with-pictures": traced.vision.step}
    return graphs


def _umask() -> int:
    """What the process keeps from new files; it can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
