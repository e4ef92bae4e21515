"""docs/performance.md and its picture, from the rows of a run."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.choice import RIVAL

from ollamax.bench.measure import Measured
from ollamax.bench.plan import ANSWER, MESSAGE, STEPS_EACH, Sizes

DOCS = Path(__file__).parents[2] / "docs"
OWN, SAME = "ollamax", "with its ggml"
"""Labels of the engines: SAME is ollamax with the rival's build of ggml."""

BACKENDS = "\n## Backends\n"

PAGE = """# Performance

ollamax with the {backend} backend beside llama.cpp: the same files, the same number of threads, in turns within one run
of `python benchmarks/vs_llama_cpp.py --write`, which wrote this page. A ratio above 1 means that ollamax is ahead: more
tokens per second, less time, less memory. The same code drifts by some percent from run to run, so a ratio within 5 %
of 1 says that both are equally fast. `ollamax bench` measures the same rows for any model, without llama.cpp.

| model | row | ollamax | with its ggml | llama.cpp | unit | ratio | with its ggml |
|---|---|---|---|---|---|---|---|
{rows}

![Ratios to llama.cpp](performance.png)

- *with its ggml* is ollamax on the library that llama.cpp was built with, the one of llama-cpp-python
  (`OLLAMAX_GGML_LIBRARY=llama_cpp`), which is newer than that of ggml-python.
- Rows of one model come from one run:
{machines}
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
- What falls short: 16 sequences of the 1B models in 4 bits and prompts of Q4_K_M on ggml-python's ggml, which has no
  packed form of Q6_K (with the newer library they are level); decoding behind 4096 tokens, by up to 12 %, of which the
  cause is not known; a start with a 0.5B model, where imports weigh most.
- {devices}
"""


@dataclass(frozen=True)
class Run:
    """A run of the benchmark with one model: its rows, and what the engines say of themselves."""

    model: str
    rows: Sequence[Measured]
    abouts: Mapping[str, Mapping[str, Any]]
    sizes: Sizes
    bandwidth: float
    threads: int
    pairs: str


def write_report(run: Run, folder: Path = DOCS) -> None:
    """Keep the run beside those of other models, and write the page and the picture of all of them."""
    kept = folder / "performance.json"
    runs = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
    runs[run.model] = {"machine": machine(run), "rows": [[row.row.title, *values(row)] for row in run.rows]}
    kept.write_text(json.dumps(dict(sorted(runs.items())), indent=1) + "\n", "utf-8")
    path = folder / "performance.md"
    behind = section(path.read_text("utf-8"))[1] if path.exists() else ""
    path.write_text(page(run, runs) + behind, "utf-8")
    _plot(runs, folder / "performance.png")


def section(text: str) -> tuple[str, str]:
    """The page in two: what is written here, and from its heading on what benchmarks/backends.py adds, if it did."""
    before, heading, behind = text.partition(BACKENDS)
    return before, heading + behind


def machine(run: Run) -> str:
    """What was measured on, and how."""
    versions = {name: text for about in run.abouts.values() for name, text in about["versions"].items()}
    return (
        f"{platform.machine()}, {run.threads} threads, {run.bandwidth / 1e9:.0f} GB/s of memory bandwidth, pairs for "
        f"each row: {run.pairs}; {', '.join(f'{name} {text}' for name, text in versions.items())}"
    )


def page(run: Run, runs: Mapping[str, Any]) -> str:
    """The page's text about all ``runs``, of which ``run`` is the last."""
    return PAGE.format(
        backend=run.abouts[OWN]["backend"],
        machines="\n".join(f"- {model}: {found['machine']}." for model, found in sorted(runs.items())),
        rows="\n".join(f"| {' | '.join([model, *row])} |" for model in sorted(runs) for row in runs[model]["rows"]),
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


def _plot(runs: Mapping[str, Any], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    ratios = {
        (title, label): float(ratio)
        for model, run in sorted(runs.items())
        for title, *_, own, same in run["rows"]
        for label, ratio in ((model, own), (f"{model} {SAME}", same))
        if ratio != "-"
    }
    titles = list(dict.fromkeys(title for title, _ in ratios))
    models = list(dict.fromkeys(model for _, model in ratios))
    figure, axes = pyplot.subplots(figsize=(10, 1.6 * len(titles) + 1))
    axes.set_prop_cycle(color=mpl.colormaps["tab20"].colors)  # pairs of shades: a model with both libraries
    height = 0.8 / len(models)
    for number, model in enumerate(models):
        shown = {title: ratio for (title, of), ratio in ratios.items() if of == model}
        places = [titles.index(title) + height * (number - (len(models) - 1) / 2) for title in shown]
        axes.barh(places, list(shown.values()), height, label=model)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(range(len(titles)), titles)
    axes.invert_yaxis()
    axes.set_xlabel("ratio to llama.cpp (above 1: ollamax is ahead)")
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.tight_layout()
    figure.savefig(path, dpi=110, bbox_inches="tight")
    pyplot.close(figure)
