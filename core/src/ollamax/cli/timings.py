"""What ``--verbose`` prints after an answer."""

from __future__ import annotations

from ollamax.cli.duration import format_duration
from ollamax.engine.chunk import Stats


def timing_lines(stats: Stats) -> list[str]:
    """Lines with the labels of ``ollama run --verbose``; what was not measured is left out."""
    rows = [("total duration:", format_duration(stats.total_seconds))]
    if stats.load_seconds:
        rows.append(("load duration:", format_duration(stats.load_seconds)))
    if stats.prompt_tokens:
        rows += [
            ("prompt eval count:", f"{stats.prompt_tokens} token(s)"),
            ("prompt eval duration:", format_duration(stats.prompt_seconds)),
            ("prompt eval rate:", f"{stats.prompt_rate:.2f} tokens/s"),
        ]
    if stats.eval_tokens:
        rows += [
            ("eval count:", f"{stats.eval_tokens} token(s)"),
            ("eval duration:", format_duration(stats.eval_seconds)),
            ("eval rate:", f"{stats.eval_rate:.2f} tokens/s"),
        ]
    return [f"{label:<22}{value}" for label, value in rows]
