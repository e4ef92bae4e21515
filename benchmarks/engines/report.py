"""docs/performance.md and its picture, from the rows of a run."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Protocol

from engines.worker import Worker

DOCS = Path(__file__).parents[2] / "docs"

PAGE = """# Performance

ollamax with the ggml backend beside llama.cpp: the same files, the same number of threads, in turns within one run of
`python benchmarks/vs_llama_cpp.py --write`, which wrote this page. Above 1 means that ollamax is ahead: more tokens per
second, less time, less memory. The same code drifts by some percent from run to run, so a ratio within 5 % of 1 says
that both are equally fast.

{machine}

| model | work | ollamax | llama.cpp | unit | ratio | share of the memory bandwidth |
|---|---|---|---|---|---|---|
{rows}

![Ratios to llama.cpp](performance.png)

- Models are random weights of real shapes with real vocabularies (`benchmarks/random_models.py`); the file is in the
  page cache. Both engines have F16 caches, llama.cpp runs with flash attention through its C interface.
- *start to first token* begins with the process, Python's start and all imports included, and ends with the logits
  of a prompt of 16 tokens. *peak memory* is the largest resident set of that process, mapped pages included.
- *decode* takes the most likely token each time; *behind 4096* has as many tokens in the cache. Its share of the memory
  bandwidth counts the file once for each token, and measures the bandwidth as a dot product in NumPy.
- *n sequences* decodes n independent sequences in one step, and counts the tokens of all.
- No GPU was at hand: builds for one are not measured.
"""


class Measured(Protocol):
    """A row of the benchmark."""

    model: str
    work: str
    unit: str
    own: float
    theirs: float
    bandwidth: float | None

    @property
    def ratio(self) -> float:
        """Above 1 where ollamax is better."""


def write_report(rows: Sequence[Measured], bandwidth: float, given: argparse.Namespace, model: Path) -> None:
    """Write the page and the picture; ``model`` is one of those measured, for the rival to start with."""
    with Worker(given.rival, "llama_cpp_engine.py", model, threads=1, context=64, sequences=1) as rival:
        version = rival.version
    machine = (
        f"{platform.machine()}, {given.threads} threads, {bandwidth / 1e9:.0f} GB/s read by one thread, "
        f"{given.pairs} pairs for each row; ggml-python {metadata.version('ggml-python')}, llama-cpp-python {version}."
    )
    (DOCS / "performance.md").write_text(PAGE.format(machine=machine, rows="\n".join(map(_line, rows))), "utf-8")
    _plot(rows, DOCS / "performance.png")


def _line(row: Measured) -> str:
    share = "" if row.bandwidth is None else f"{row.bandwidth:.2f}"
    digits = 2 if row.unit == "s" else 1
    numbers = f"{row.own:.{digits}f} | {row.theirs:.{digits}f} | {row.unit} | {row.ratio:.2f} | {share}"
    return f"| {row.model} | {row.work} | {numbers} |"


def _plot(rows: Sequence[Measured], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    works = list(dict.fromkeys(row.work for row in rows))
    models = list(dict.fromkeys(row.model for row in rows))
    figure, axes = pyplot.subplots(figsize=(10, 0.9 * len(works) + 1))
    height = 0.8 / len(models)
    for number, model in enumerate(models):
        ratios = {row.work: row.ratio for row in rows if row.model == model}
        places = [works.index(work) + height * (number - (len(models) - 1) / 2) for work in ratios]
        axes.barh(places, list(ratios.values()), height, label=model)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(range(len(works)), works)
    axes.invert_yaxis()
    axes.set_xlabel("ratio to llama.cpp (above 1: ollamax is ahead)")
    axes.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
