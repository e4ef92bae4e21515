"""``ollamax bench``: how fast a model runs, and what of the machine it uses."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

import click

from ollamax import config
from ollamax.bench.bandwidth import read_bandwidth
from ollamax.bench.measure import Measurement
from ollamax.bench.plan import KINDS, LeftOut, Sizes, plan
from ollamax.bench.report import documents, notes, table
from ollamax.bench.row import Job
from ollamax.bench.worker import own_contender
from ollamax.cli.comma_list import Names, Numbers
from ollamax.cli.console import print_json, print_table
from ollamax.cli.progress import progress
from ollamax.engine.context import trained_length
from ollamax.engine.options import TABLE
from ollamax.engine.resolve import resolve
from ollamax.engine.source import open_source
from ollamax.errors import UsageError
from ollamax.gguf import Metadata
from ollamax.plugins import get_registry

_Command = TypeVar("_Command", bound=Callable[..., Any])
_EPILOG = "\n\n".join(["Kinds of rows:", "\b\n" + "\n".join(f"{kind:<10} {text}" for kind, text in KINDS.items())])


def _setting(*flags: str, help: str) -> Callable[[_Command], _Command]:
    """A flag for an option of generations, with the limits that it has there."""
    limits = TABLE[flags[-1]]
    lowest, highest = (None if limit is None else int(limit) for limit in (limits.minimum, limits.maximum))
    return click.option(*flags, type=click.IntRange(lowest, highest), metavar="N", help=help)


_count = partial(click.option, type=click.IntRange(1), metavar="N", show_default=True)


@click.command(epilog=_EPILOG)
@click.option("-m", "--model", required=True, metavar="MODEL", help="A model's name, a .gguf file or a directory.")
@click.option("--backend", "backends", type=Names(), default="auto", help="Backends, which take turns.  [auto]")
@click.option("--rows", "kinds", type=Names(KINDS), default=tuple(KINDS), help="Kinds of rows; by default all.")
@_count("-r", "--repetitions", default=5, help="Samples of each row.")
@click.option("-p", "--prompt-tokens", "prompts", type=Numbers(1), default=(512,), help="Tokens of prompts.  [512]")
@_count("-n", "--gen-tokens", "steps", default=128, help="Tokens to decode.")
@click.option("-d", "--depth", "depths", type=Numbers(0), default=(0, 4096), help="Tokens before those.  [0,4096]")
@click.option("--sequences", type=Numbers(1), default=(8, 16), help="Sequences decoded in one step.  [8,16]")
@_count("--history", default=1000, help="Tokens of the first turn of a chat.")
@_setting("-t", "--num-thread", "--threads", "num_thread", help="Threads; the backend's choice by default.")
@_setting("-b", "--num-batch", "num_batch", help="Most prompt tokens computed in one step.")
@_setting("--num-gpu", "--gpu-layers", "num_gpu", help="Layers that a graphics processor computes.")
@click.option("--cache-type", type=click.Choice(["f32", "f16", "q8_0"]), help="How the cache is stored.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every sample.")
def bench(
    model: str,
    backends: tuple[str, ...],
    kinds: tuple[str, ...],
    repetitions: int,
    num_thread: int | None,
    num_batch: int | None,
    num_gpu: int | None,
    cache_type: str | None,
    as_json: bool,
    **sizes: Any,
) -> None:
    """Measure how fast a model runs; figures are medians.

    Lists have commas between their parts. Every backend runs in processes of its own, and several take turns. A ratio
    above 1 says that a backend is better than the first. Rows that need more context than the model was trained for
    are left out and named.
    """
    jobs, left = _planned(asked := Sizes(**sizes), kinds, model)
    labels = _labels(model, backends, splitting=bool(num_gpu and num_gpu > 0))
    settings: dict[str, Any] = {"num_thread": num_thread, "num_batch": num_batch, "num_gpu": num_gpu}
    settings["cache_type"] = cache_type or config.cache_type()
    contenders = [own_contender(model, label, **settings) for label in labels]
    with progress("measuring", quiet=not sys.stderr.isatty()) as shown:
        measurement = Measurement(
            contenders, lambda _kind: repetitions, _bandwidth(jobs), lambda title: shown.update(0, title)
        )
        abouts = measurement.about(context=min(job.context for job in jobs))
        rows = list(measurement.run(jobs, abouts))
    if as_json:
        given = {**asdict(asked), **settings, "repetitions": repetitions}
        head = {"model": model, "machine": _machine(measurement.bandwidth), "options": given, "backends": abouts}
        print_json({**head, "rows": documents(labels, rows, left)})
        return
    print_table(*table(labels, rows))
    for note in notes(rows, left):
        click.echo(note)
    if measurement.bandwidth:
        click.echo(f"memory bandwidth: {measurement.bandwidth / 1e9:.1f} GB/s")


def _planned(asked: Sizes, kinds: tuple[str, ...], model: str) -> tuple[list[Job], list[LeftOut]]:
    """What is measured and what is left out; raises UsageError where that is everything."""
    jobs, left = plan(asked, kinds, _trained(model))
    if not jobs:
        raise UsageError(f"no row can be measured: {'; '.join(notes([], left))}")
    return jobs, left


def _labels(model: str, backends: tuple[str, ...], *, splitting: bool) -> list[str]:
    """The backends' own names; raises BackendError for one that is not here or cannot run, UsageError for twins."""
    with closing(open_source(resolve(model).path, get_registry())) as source:
        find = partial(get_registry().backend, source=source, splitting=splitting, device=config.device())
        labels = [find(name).name for name in backends]
    for label in labels:
        if labels.count(label) > 1:
            raise UsageError(f"--backend {','.join(backends)} stands for {label} twice; name each backend once")
    return labels


def _trained(model: str) -> int:
    """The context that a model was trained for; raises as loading it does."""
    found = resolve(model)
    with closing(open_source(found.path, get_registry())) as source:
        return trained_length(Metadata(source.metadata, found.path))


def _bandwidth(jobs: list[Job]) -> float:
    """The machine's, in bytes per second, or 0 where no row asks for it."""
    return read_bandwidth() if any(row.kind == "bandwidth" for job in jobs for row in job.rows) else 0.0


def _machine(bandwidth: float) -> dict[str, Any]:
    return {"processor": platform.machine(), "cores": os.cpu_count(), "bandwidth": bandwidth or None}
