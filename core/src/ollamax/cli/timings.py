"""What ``--verbose`` prints after an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ollamax.cli.duration import format_duration
from ollamax.engine.chunk import Stats

if TYPE_CHECKING:
    from ollamax.engine.model import Model


def timing_lines(stats: Stats, model: Model) -> list[str]:
    """Lines with the labels of ``ollama run --verbose``; what was not measured is left out.

    Ours are the rate at which the file's tensors were loaded, and the bandwidth at which weights were read for the
    answer: what ``model`` reads of them in a step, times its steps per second.
    """
    rows = [("total duration:", format_duration(stats.total_seconds))]
    if stats.load_seconds:
        rows += [
            ("load duration:", format_duration(stats.load_seconds)),
            ("load rate:", f"{model.weight_bytes / stats.load_seconds / 1e9:.2f} GB/s"),
        ]
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
    if stats.eval_steps:
        rows.append(("eval bandwidth:", f"{model.step_bytes * stats.step_rate / 1e9:.2f} GB/s"))
    if stats.drafted_tokens:
        rows.append(("drafted:", f"{stats.drafted_tokens} token(s), {stats.accepted_tokens} accepted"))
    return [f"{label:<22}{value}" for label, value in rows]
