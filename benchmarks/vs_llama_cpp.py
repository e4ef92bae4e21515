"""ollamax beside llama.cpp: the same file, the same threads, in turns within one run.

    pip install llama-cpp-python==0.3.36          # compiles for some minutes; may be in an environment of its own
    python benchmarks/vs_llama_cpp.py             # all models; about half an hour
    python benchmarks/vs_llama_cpp.py --model "llama-1b Q4_0" --pairs 3
    python benchmarks/vs_llama_cpp.py --write     # also docs/performance.md and its picture

Each row is the median of pairs that were run one right after the other, first one engine and then the other. Rates of
the same code drift by some percent on most machines, so only the ratio of a run means anything. Both engines have F16
caches; llama.cpp runs with flash attention, through its C interface.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cpu import read_bandwidth
from engines.report import write_report
from engines.worker import Worker
from random_models import SHAPES, VOCABULARIES, write_random_model

from ollamax.convert.file_type import parse_file_type

MODELS = ("llama-1b Q4_0", "llama-1b Q4_K_M", "llama-1b Q8_0", "llama-1b F16", "qwen2-0.5b Q4_0", "qwen2-0.5b Q8_0")
STEPS, DEEP, EACH = 128, 4096, 48


@dataclass(frozen=True)
class Row:
    """Medians of one piece of work: ``own`` and ``theirs`` in ``unit``; more is better unless it is time or memory."""

    model: str
    work: str
    unit: str
    own: float
    theirs: float
    bandwidth: float | None = None

    @property
    def ratio(self) -> float:
        """Above 1 where ollamax is better."""
        return self.own / self.theirs if self.unit == "tokens/s" else self.theirs / self.own


@dataclass(frozen=True)
class Bench:
    """How to start both engines, and how often to repeat."""

    rival: str
    threads: int
    pairs: int

    def start(self, own: bool, path: Path, context: int, sequences: int = 1) -> Worker:
        python, script = (sys.executable, "own.py") if own else (self.rival, "llama_cpp_engine.py")
        return Worker(python, script, path, threads=self.threads, context=context, sequences=sequences)

    def rates(self, workers: tuple[Worker, Worker], tokens: int, work: str, *numbers: int) -> tuple[float, float]:
        """Median tokens per second of both, in turns, after one run that warms up."""
        seconds: tuple[list[float], list[float]] = ([], [])
        for turn in range(self.pairs + 1):
            for worker, found in zip(workers, seconds, strict=True):
                taken = worker.run(work, *numbers)
                if turn:
                    found.append(taken)
        own, theirs = (tokens / statistics.median(found) for found in seconds)
        return own, theirs

    def cold(self, path: Path) -> tuple[Row, Row]:
        """From nothing to the first token of an answer, and the most memory held meanwhile; the file is cached."""
        seconds: tuple[list[float], list[float]] = ([], [])
        memory: tuple[list[float], list[float]] = ([], [])
        for _ in range(self.pairs):
            for side, own in enumerate((True, False)):
                worker = self.start(own, path, 1024)
                worker.run("prompt", 16)
                seconds[side].append(worker.since_start())
                memory[side].append(worker.close() / 1e6)
        median = [statistics.median(found) for found in (*seconds, *memory)]
        return (
            Row("", "start to first token", "s", median[0], median[1]),
            Row("", "peak memory", "MB", median[2], median[3]),
        )

    def single(self, path: Path, bandwidth: float) -> Iterator[Row]:
        """One sequence."""
        size = path.stat().st_size
        with self.start(True, path, DEEP + STEPS) as own, self.start(False, path, DEEP + STEPS) as theirs:
            both = (own, theirs)
            yield Row("", "prompt 512", "tokens/s", *self.rates(both, 512, "prompt", 512))
            for held in (0, DEEP):
                rates = self.rates(both, STEPS, "decode", STEPS, held)
                share = rates[0] * size / bandwidth if held == 0 else None
                yield Row("", f"decode {STEPS} behind {held}", "tokens/s", *rates, share)

    def several(self, path: Path) -> Iterator[Row]:
        """Many sequences in one step."""
        with self.start(True, path, 256, 16) as own, self.start(False, path, 256, 16) as theirs:
            for count in (8, 16):
                rates = self.rates((own, theirs), count * EACH, "parallel", count, EACH)
                yield Row("", f"{count} sequences", "tokens/s", *rates)

    def rows(self, name: str, path: Path, bandwidth: float) -> Iterator[Row]:
        """Everything about one model."""
        for row in (*self.cold(path), *self.single(path, bandwidth), *self.several(path)):
            yield Row(name, row.work, row.unit, row.own, row.theirs, row.bandwidth)


def show(row: Row) -> None:
    """A line of the table."""
    share = "" if row.bandwidth is None else f"{row.bandwidth:9.2f}"
    print(f"{row.model:<18}{row.work:<24}{row.own:>9.1f}{row.theirs:>11.1f} {row.unit:<9}{row.ratio:6.2f}{share}")


def main() -> None:
    """Print the table as it comes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help=f"one of {', '.join(MODELS)}; may be repeated")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rival", default=sys.executable, help="the Python that has llama-cpp-python")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where the models go")
    parser.add_argument("--vocabulary", type=Path, default=VOCABULARIES)
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    given = parser.parse_args()
    bandwidth = read_bandwidth(9)
    bench, found = Bench(given.rival, given.threads, given.pairs), []
    print(f"{'model':<18}{'work':<24}{'ollamax':>9}{'llama.cpp':>11} {'':<9}{'ratio':>6}{'bandwidth':>11}")
    for name in given.model or MODELS:
        shape, kind = name.split()
        path = given.folder / f"random-{shape}-{kind}.gguf"
        write_random_model(path, SHAPES[shape], parse_file_type(kind), given.vocabulary)
        for row in bench.rows(name, path, bandwidth):
            show(row)
            found.append(row)
    if given.write:
        write_report(found, bandwidth, given, path)


if __name__ == "__main__":
    main()
