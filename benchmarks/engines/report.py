"""docs/performance.md and its picture, from the rows of a run."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ollamax.bench.measure import Measured
from ollamax.bench.plan import ANSWER, MESSAGE, STEPS_EACH, Sizes

DOCS = Path(__file__).parents[2] / "docs"
OWN, SAME, RIVAL = "ollamax", "with its ggml", "llama.cpp"
"""Labels of the engines: SAME is ollamax with the rival's build of ggml."""

PAGE = """# Performance

ollamax with the {backend} backend beside llama.cpp: the same files, the same number of threads, in turns within one run
of `python benchmarks/vs_llama_cpp.py --write`, which wrote this page. A ratio above 1 means that ollamax is ahead: more
tokens per second, less time, less memory. The same code drifts by some percent from run to run, so a ratio within 5 %
of 1 says that both are equally fast. `ollamax bench` measures the same rows for any model, without llama.cpp.

{machine}

| model | row | ollamax | with its ggml | llama.cpp | unit | ratio | with its ggml |
|---|---|---|---|---|---|---|---|
{rows}

![Ratios to llama.cpp](performance.png)

- *with its ggml* is ollamax on the library that llama.cpp was built with, the one of llama-cpp-python
  (`OLLAMAX_GGML_LIBRARY=llama_cpp`), which is newer than that of ggml-python.
- Models are random weights of real shapes with real vocabularies (`benchmarks/random_models.py`); the file is in the
  page cache. Both engines have F16 caches, llama.cpp runs with flash attention through its C interface.
- *start to first token* begins with the process, Python's start and all imports included, and ends with the logits
  of a prompt of 16 tokens. *peak memory* is the largest resident set of that process, mapped pages included.
- *decode* takes the most likely token each time; *behind {deep}* has as many tokens in the cache. Its share of the
  bandwidth counts the weights that a step reads, each once, and measures the memory with NumPy on a large array.
- *n sequences* decodes n independent sequences in one step, {each} tokens of each, and counts the tokens of all.
- *second turn of a chat*: the time to the first token behind a first turn of {history} tokens, an answer of {answer}
  and {message} more, as a share of the first turn's time to the first token.
- *Python's share of a step* is what a greedy generation spends outside the library's computation, sampling included.
- {devices}
"""


@dataclass(frozen=True)
class Run:
    """A run of the benchmark: rows by model, and what the engines say of themselves."""

    rows: Sequence[tuple[str, Measured]]
    abouts: Mapping[str, Mapping[str, Any]]
    sizes: Sizes
    bandwidth: float
    threads: int
    pairs: str


def write_report(run: Run) -> None:
    """Write the page and the picture."""
    (DOCS / "performance.md").write_text(page(run), "utf-8")
    _plot(run.rows, DOCS / "performance.png")


def page(run: Run) -> str:
    """The page's text."""
    versions = {name: text for about in run.abouts.values() for name, text in about["versions"].items()}
    machine = (
        f"{platform.machine()}, {run.threads} threads, {run.bandwidth / 1e9:.0f} GB/s of memory bandwidth, pairs for "
        f"each row: {run.pairs}; {', '.join(f'{name} {text}' for name, text in versions.items())}."
    )
    return PAGE.format(
        backend=run.abouts[OWN]["backend"],
        machine=machine,
        rows="\n".join(_line(model, row) for model, row in run.rows),
        deep=max(run.sizes.depths),
        each=STEPS_EACH,
        history=run.sizes.history,
        answer=ANSWER,
        message=MESSAGE,
        devices=devices_found(run.abouts[OWN]["devices"]),
    )


def devices_found(devices: Sequence[Mapping[str, str]]) -> str:
    """A sentence on what the backend's probe found."""
    found = "The backend found " + " and ".join(device["kind"] for device in devices) + "."
    if all(device["name"] == "cpu" for device in devices):
        found += " No GPU was among that: builds for one are not measured."
    return found


def values(row: Measured) -> list[str]:
    """What was measured of OWN, SAME and RIVAL, the unit, and the ratios of the first two to the third, as printed."""
    medians, ratios = row.medians, row.ratios(RIVAL)
    shown = [row.row.shown(medians[label]) if label in medians else "-" for label in (OWN, SAME, RIVAL)]
    return [*shown, row.row.unit, *(f"{ratios[label]:.2f}" if label in ratios else "-" for label in (OWN, SAME))]


def _line(model: str, row: Measured) -> str:
    return f"| {' | '.join([model, row.row.title, *values(row)])} |"


def _plot(found: Sequence[tuple[str, Measured]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    ratios = {
        (row.row.title, model if label == OWN else f"{model} {label}"): ratio
        for model, row in found
        for label, ratio in row.ratios(RIVAL).items()
    }
    titles = list(dict.fromkeys(title for title, _ in ratios))
    models = list(dict.fromkeys(model for _, model in ratios))
    figure, axes = pyplot.subplots(figsize=(10, 1.6 * len(titles) + 1))
    height = 0.8 / len(models)
    for number, model in enumerate(models):
        shown = {title: ratio for (title, of), ratio in ratios.items() if of == model}
        places = [titles.index(title) + height * (number - (len(models) - 1) / 2) for title in shown]
        axes.barh(places, list(shown.values()), height, label=model)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(range(len(titles)), titles)
    axes.invert_yaxis()
    axes.set_xlabel("ratio to llama.cpp (above 1: ollamax is ahead)")
    axes.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
