"""Measuring in turns: first one contender, then the next, and again."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from ollamax.bench.row import Facts, Job, Row
from ollamax.bench.worker import Contender, Worker

Abouts = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Measured:
    """A row with its samples by the contenders' labels, and reasons for those that could not be measured."""

    row: Row
    samples: Mapping[str, Sequence[float]]
    cannot: Mapping[str, str]

    @property
    def medians(self) -> dict[str, float]:
        """The middle sample of each contender that was measured."""
        return {label: statistics.median(found) for label, found in self.samples.items()}

    def ratios(self, base: str) -> dict[str, float]:
        """How much better each contender is than the one called ``base``: above 1 where it is."""
        medians = self.medians
        if base not in medians:
            return {}
        return {label: self.row.ratio(value, medians[base]) for label, value in medians.items() if label != base}


@dataclass(frozen=True)
class Measurement:
    """``contenders`` take turns, as often for each kind of row as ``repetitions`` says.

    The machine's ``bandwidth`` is in bytes per second. ``tell`` is called with what is measured next.
    """

    contenders: Sequence[Contender]
    repetitions: Callable[[str], int]
    bandwidth: float = 0.0
    tell: Callable[[str], object] = lambda _title: None

    def about(self, context: int) -> dict[str, Mapping[str, Any]]:
        """What each contender says of itself, see work.Engine; BenchmarkError for one that cannot be started."""
        found: dict[str, Mapping[str, Any]] = {}
        for contender in self.contenders:
            self.tell(f"loading ({contender.label})")
            with contender.start(context) as worker:
                found[contender.label] = worker.run("about")
        return found

    def run(self, jobs: Sequence[Job], abouts: Abouts) -> Iterator[Measured]:
        """The rows of ``jobs``, as they are measured."""
        for job in jobs:
            if job.fresh:
                yield from self._measured(job, {one.label: self._cold(one, job) for one in self.contenders}, abouts)
        kept = [job for job in jobs if not job.fresh]
        for _, group in groupby(kept, key=lambda job: job.sequences > 1):
            yield from self._together(list(group), abouts)

    def _together(self, jobs: Sequence[Job], abouts: Abouts) -> Iterator[Measured]:
        """Jobs that one worker for each contender does, one after another."""
        context, sequences = max(job.context for job in jobs), max(job.sequences for job in jobs)
        with ExitStack() as stack:
            workers: dict[str, Worker] = {}
            for contender in self.contenders:
                if contender.only_fresh:
                    continue
                self.tell(f"loading ({contender.label})")
                workers[contender.label] = stack.enter_context(contender.start(context, sequences))
            for job in jobs:
                does = {label: self._warm(worker, job) for label, worker in workers.items()}
                yield from self._measured(job, does, abouts)

    def _measured(self, job: Job, does: Mapping[str, Callable[[], list[float]]], abouts: Abouts) -> Iterator[Measured]:
        kinds = [row.kind for row in job.rows]
        cannot: dict[str, str] = {
            label: about["cannot"][kind]
            for label, about in abouts.items()
            for kind in kinds
            if kind in about.get("cannot", {})
        }
        able = {label: do for label, do in does.items() if label not in cannot}
        answers: dict[str, list[list[float]]] = {label: [] for label in able}
        for turn in range(max(map(self.repetitions, kinds)) + (not job.fresh)):
            for label, do in able.items():
                self.tell(f"{job.rows[0].title} ({label})")
                answer = do()
                if turn or job.fresh:  # the first turn of a worker that stays warms up
                    answers[label].append(answer)
        for row in job.rows:
            samples = {
                label: [row.value(answer, self._facts(label, abouts)) for answer in found]
                for label, found in answers.items()
            }
            yield Measured(row, samples, cannot)

    def _facts(self, label: str, abouts: Abouts) -> Facts:
        """An engine that does not say what a step reads is taken to read what the first one does."""
        first = next(iter(abouts.values()))
        return Facts(self.bandwidth, int(abouts[label].get("step_bytes", first.get("step_bytes", 0))))

    @staticmethod
    def _cold(contender: Contender, job: Job) -> Callable[[], list[float]]:
        def do() -> list[float]:
            with contender.start(job.context) as worker:
                worker.run(job.work, *job.numbers)
                seconds = worker.since_start()
                return [seconds, float(worker.run("peak"))]

        return do

    @staticmethod
    def _warm(worker: Worker, job: Job) -> Callable[[], list[float]]:
        return lambda: [float(number) for number in worker.run(job.work, *job.numbers)]
