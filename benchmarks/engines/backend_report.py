"""The section of docs/performance.md about backends, from the rows of benchmarks/backends.py."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engines.choice import GENAI, RIVAL
from engines.report import BACKENDS, DOCS, section

from ollamax.bench.measure import Measured

TEXT = (
    BACKENDS
    + """
Backends beside llama.cpp, in turns within one run of `python benchmarks/backends.py --write`, which wrote this section.
The ratio is as above; the aim is what ONNX Runtime was to reach when its backend was planned. Each backend keeps its
cache in the type that is fastest with it, llama.cpp in F16. *onnx, kept* is a stored model in a fresh process, after a
first load with `OLLAMAX_KEEP_COMPILED=1`. *X, of that behind 256* and *X, of that with Q4_0* are ratios of two rates of
the backend's own; *X, beside onnxruntime-genai* has that engine's value in llama.cpp's place.

| model | row | backend | ollamax | llama.cpp | ratio | aim |
|---|---|---|---|---|---|---|
{rows}

Rows of one model come from one run:

{machines}
"""
)


@dataclass(frozen=True)
class Target:
    """A ratio that a ``backend`` is to reach; an empty ``model`` stands for all of them."""

    backend: str
    model: str
    title: str
    ratio: float


@dataclass(frozen=True)
class Line:
    """A line of the table, as it is printed."""

    title: str
    backend: str
    own: str
    rival: str
    ratio: str
    target: str


def lines_of(model: str, row: Measured, targets: Sequence[Target]) -> list[Line]:
    """A line for each backend, and one more where onnxruntime-genai took part; "-" for what could not be measured."""
    found = _lines(model, row, targets, RIVAL, row.row.title)
    if GENAI in (*row.samples, *row.cannot):
        found += _lines(model, row, targets, GENAI, f"{row.row.title}, beside {GENAI}")
    return found


def kept_rates(model: str, found: Mapping[str, Sequence[Measured]], targets: Sequence[Target]) -> list[Line]:
    """What is left of a backend's own rates: far into the context, and with Q4_K_M of those with Q4_0."""
    return [
        Line(title, label, "", "", f"{above / below:.2f}", _target(targets, label, model, title))
        for title, label, above, below in _kept(model, found)
    ]


def write_section(
    model: str, machine: str, versions: Mapping[str, str], lines: Sequence[Line], folder: Path = DOCS
) -> None:
    """Keep the lines beside those of other models, and write the section of all; the rest of the page stays."""
    kept = folder / "performance-backends.json"
    runs: dict[str, Any] = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
    told = ", ".join(f"{name} {text}" for name, text in versions.items())
    runs[model] = {"machine": f"{platform.machine()}, {machine}; {told}", "rows": [asdict(line) for line in lines]}
    runs = dict(sorted(runs.items()))
    kept.write_text(json.dumps(runs, indent=1) + "\n", "utf-8")
    page = folder / "performance.md"
    before = section(page.read_text("utf-8"))[0] if page.exists() else ""
    rows = [f"| {' | '.join([name, *row.values()])} |" for name, run in runs.items() for row in run["rows"]]
    machines = [f"- {name}: {run['machine']}." for name, run in runs.items()]
    page.write_text(before + TEXT.format(rows="\n".join(rows), machines="\n".join(machines)), "utf-8")


def _lines(model: str, row: Measured, targets: Sequence[Target], rival: str, title: str) -> list[Line]:
    medians, ratios = row.medians, row.ratios(rival)
    labels = [label for label in (*row.samples, *row.cannot) if label not in (RIVAL, GENAI)]

    def shown(label: str) -> str:
        return f"{row.row.shown(medians[label])} {row.row.unit}" if label in medians else "-"

    return [
        Line(
            title,
            label,
            shown(label),
            shown(rival),
            f"{ratios[label]:.2f}" if label in ratios else "-",
            _target(targets, label, model, title),
        )
        for label in labels
    ]


def _kept(model: str, found: Mapping[str, Sequence[Measured]]) -> Iterator[tuple[str, str, float, float]]:
    """Title, backend, and the two rates."""
    rates = _rates(found[model])
    for label in dict.fromkeys(label for label, _ in rates):
        near, far = (
            next((rate for (of, title), rate in rates.items() if of == label and title.endswith(f" behind {at}")), 0)
            for at in (256, 2048)
        )
        if near and far:
            yield "decode behind 2048, of that behind 256", label, far, near
    shape, _, kind = model.partition(" ")
    plain = _rates(found.get(f"{shape} Q4_0", ())) if kind == "Q4_K_M" else {}
    for (label, title), rate in rates.items():
        if (label, title) in plain and title.startswith(("prompt ", "decode ")):
            yield f"{title}, of that with Q4_0", label, rate, plain[label, title]


def _rates(rows: Sequence[Measured]) -> dict[tuple[str, str], float]:
    """Rates of ollamax by backend and title."""
    return {
        (label, row.row.title): rate
        for row in rows
        if row.row.more_is_better
        for label, rate in row.medians.items()
        if label not in (RIVAL, GENAI)
    }


def _target(targets: Sequence[Target], backend: str, model: str, title: str) -> str:
    for target in targets:
        if (target.backend, target.title) == (backend, title) and target.model in ("", model):
            return f"{target.ratio:.2f}"
    return ""
