"""What was measured, as a table and as a document for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ollamax.bench.measure import Measured
from ollamax.bench.plan import LeftOut


def table(labels: Sequence[str], rows: Sequence[Measured]) -> tuple[list[str], list[list[str]]]:
    """Headers and lines: medians of each contender, and how much better each is than the first."""
    first, *others = labels
    headers = ["ROW", *labels, "UNIT", *[f"{label} / {first}" for label in others]]
    lines = []
    for row in rows:
        medians, ratios = row.medians, row.ratios(first)
        values = [row.row.shown(medians[label]) if label in medians else "-" for label in labels]
        compared = [f"{ratios[label]:.2f}" if label in ratios else "-" for label in others]
        lines.append([row.row.title, *values, row.row.unit, *compared])
    return headers, lines


def notes(rows: Sequence[Measured], left: Sequence[LeftOut]) -> list[str]:
    """A sentence for each row that was left out, wholly or for one contender."""
    found = [f"{row.row.title}: left out for {label}: {why}" for row in rows for label, why in row.cannot.items()]
    return [*found, *[f"{item.row.title}: left out: {item.reason}" for item in left]]


def documents(labels: Sequence[str], rows: Sequence[Measured], left: Sequence[LeftOut]) -> list[dict[str, Any]]:
    """Rows for programs: samples and medians by contender, ratios to the first, and what was left out."""
    found = [
        {
            "kind": row.row.kind,
            "row": row.row.title,
            "unit": row.row.unit,
            "more_is_better": row.row.more_is_better,
            "samples": {label: list(samples) for label, samples in row.samples.items()},
            "medians": row.medians,
            "ratios": row.ratios(labels[0]),
            "left_out": dict(row.cannot),
        }
        for row in rows
    ]
    return [*found, *[_left_out(labels, item) for item in left]]


def _left_out(labels: Sequence[str], item: LeftOut) -> dict[str, Any]:
    nothing: dict[str, Any] = {name: {} for name in ("samples", "medians", "ratios")}
    named = {"kind": item.row.kind, "row": item.row.title, "unit": item.row.unit}
    reasons = dict.fromkeys(labels, item.reason)
    return {**named, "more_is_better": item.row.more_is_better, **nothing, "left_out": reasons}
