"""The rows of a benchmark, each defined once for ``ollamax bench`` and for benchmarks beside other engines."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from ollamax.bench.row import Facts, Job, Row
from ollamax.bench.work import START

KINDS = {
    "start": "from the start of a process to the logits of a prompt of 16 tokens",
    "memory": "the most memory that this process held, pages of mapped files included",
    "prompt": "tokens of a prompt per second",
    "decode": "tokens per second, one at a time and always the likeliest, behind others in the cache",
    "bandwidth": "the share of the memory bandwidth at which decoding reads the weights",
    "sequences": "tokens per second of several sequences that are decoded in one step",
    "chat": "time to the first token of a chat's second turn, as a share of the first turn's",
    "overhead": "the share of a decode step that is not spent in the backend's native code",
}
"""The kinds of rows, by which they are chosen, and what each measures."""

FIRST, STEPS_EACH, ANSWER, MESSAGE = 16, 32, 16, 32
"""Tokens of: the prompt of a fresh process, each of several sequences, a first turn's answer, the second turn."""

COLD_CONTEXT = 1024
"""Context of a fresh process, where the model was trained for as much."""


@dataclass(frozen=True)
class Sizes:
    """Numbers of tokens, as in llama-bench; ``history`` is the length of a chat's first turn."""

    prompts: tuple[int, ...] = (512,)
    steps: int = 128
    depths: tuple[int, ...] = (0, 4096)
    sequences: tuple[int, ...] = (8, 16)
    history: int = 1000


@dataclass(frozen=True)
class LeftOut:
    """A row that cannot be measured, and why."""

    row: Row
    reason: str


def plan(sizes: Sizes, kinds: Collection[str], trained: int) -> tuple[list[Job], list[LeftOut]]:
    """The jobs of the chosen ``kinds`` of rows, and the rows that ``trained`` tokens of context are too few for."""
    jobs, left = [], []
    for job in _jobs(sizes):
        rows = tuple(row for row in job.rows if row.kind in kinds)
        if rows and job.context > trained:
            reason = f"it needs {job.context} tokens of context, and the model was trained for {trained}"
            left += [LeftOut(row, reason) for row in rows]
        elif rows:
            context = min(COLD_CONTEXT, trained) if job.fresh else job.context
            jobs.append(replace(job, rows=rows, context=context))
    return jobs, left


def _jobs(sizes: Sizes) -> Iterator[Job]:
    yield Job("prompt", (FIRST,), _COLD, FIRST, fresh=True)
    for tokens in sizes.prompts:
        yield Job("prompt", (tokens,), (_rate("prompt", f"prompt {tokens}", tokens),), tokens)
    for depth in sizes.depths:
        rows = [_rate("decode", f"decode {sizes.steps} behind {depth}", sizes.steps)]
        if depth == min(sizes.depths):  # further back a step reads much of the cache as well
            rows.append(_bandwidth(sizes.steps))
        yield Job("decode", (sizes.steps, depth), tuple(rows), depth + sizes.steps)
    yield Job("chat", (sizes.history, ANSWER, MESSAGE), (_CHAT,), sizes.history + 2 * ANSWER + MESSAGE)
    yield Job("overhead", (sizes.steps,), (_OVERHEAD,), START + sizes.steps + 1)
    for count in sizes.sequences:
        row = _rate("sequences", f"{count} sequences", count * STEPS_EACH)
        yield Job("parallel", (count, STEPS_EACH), (row,), START + STEPS_EACH, sequences=count)


_COLD = (
    Row("start", "start to first token", "s", lambda found, _facts: found[0], digits=2),
    Row("memory", "peak memory", "MB", lambda found, _facts: found[1] / 1e6),
)
_CHAT = Row("chat", "second turn of a chat", "of the first", lambda found, _facts: found[1] / found[0], digits=3)
_OVERHEAD = Row("overhead", "Python's share of a step", "%", lambda found, _facts: 100 * (1 - found[0] / found[1]))


def _rate(kind: str, title: str, tokens: int) -> Row:
    return Row(kind, title, "tokens/s", lambda found, _facts: tokens / found[0], more_is_better=True)


def _bandwidth(steps: int) -> Row:
    def value(found: Sequence[float], facts: Facts) -> float:
        return 100 * steps * facts.step_bytes / found[0] / facts.bandwidth

    return Row("bandwidth", "decode's share of bandwidth", "%", value, more_is_better=True)
