"""What a worker process does: it loads a model once and then times one piece of work after the other.

A line of JSON on standard input names the work and its numbers; a line on standard output gives the answer. This module
needs NumPy and the standard library only, so that an engine in another environment can be measured with it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from io import FileIO, TextIOWrapper
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol

from ollamax import config
from ollamax.errors import BenchmarkError, OllamaxError


class Engine(Protocol):
    """What is measured. Times are in seconds; every method leaves the caches as the next one expects them."""

    def about(self) -> Mapping[str, Any]:
        """What to say of the engine: ``versions``, ``devices``, ``step_bytes`` and ``cannot``, each if known.

        ``step_bytes`` is what a decode step reads of the weights; ``cannot`` maps a kind of row to the reason why it
        cannot be measured.
        """

    def prompt(self, tokens: int) -> list[float]:
        """Read a prompt into an empty cache and get the last token's logits."""

    def decode(self, steps: int, held: int) -> list[float]:
        """``steps`` greedy tokens behind ``held`` others, one at a time."""

    def parallel(self, sequences: int, steps: int) -> list[float]:
        """``steps`` greedy tokens of each of several sequences, in one step together, behind 32 tokens each."""

    def chat(self, history: int, answer: int, message: int) -> list[float]:
        """The time to the first token of two turns.

        The first has ``history`` tokens, and gets an ``answer``; the second goes on with that and a ``message``.
        """

    def overhead(self, steps: int) -> list[float]:
        """``steps`` greedy tokens as a generation makes them: the time of computing graphs, and the time in all."""


START = 32
"""Tokens that each of several sequences holds before they are decoded together."""


def arguments(**more: str | int) -> argparse.Namespace:
    """A model, threads (0 is the engine's choice) and the size of its cache; ``more`` are options with defaults."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--context", type=int, required=True, help="cells of each sequence")
    parser.add_argument("--sequences", type=int, default=1)
    for name, default in more.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    return parser.parse_args()


def random_ids(vocabulary: int, count: int, seed: int = 0) -> list[int]:
    """The same tokens for every engine."""
    import numpy as np

    found: list[int] = np.random.default_rng(seed).integers(0, vocabulary, count).tolist()
    return found


def serve(load: Callable[[], Engine]) -> None:
    """Load an engine and answer lines; an error is the last answer.

    Standard output is for answers only: what libraries print goes to standard error. The end of standard input ends the
    process at once, also in the middle of work, for whoever wanted the answer is gone.
    """
    lines: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=[lines], daemon=True).start()
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        if isinstance(sys.stdout, TextIOWrapper):  # a buffer would be lost where this process ends at once
            sys.stdout.reconfigure(line_buffering=True)
        try:
            engine = load()
            while True:
                work = json.loads(lines.get())
                # Only the names of the protocol: the other side may be of another version.
                does = {name: getattr(engine, name) for name in _WORKS} | {"peak": peak_memory}
                _say(answers, {"answer": does[work["do"]](*work["with"])})
        except Exception as error:
            if config.debug():
                traceback.print_exception(error)
            told = str(error) if isinstance(error, OllamaxError) else f"{type(error).__name__}: {error}"
            _say(answers, {"error": told})


def _listen(lines: SimpleQueue[bytes]) -> None:
    # Without a buffer, whose lock Python could not take from this thread when it exits after an error.
    for line in FileIO(0, closefd=False):
        lines.put(line)
    os._exit(0)


_WORKS = ("about", "prompt", "decode", "parallel", "chat", "overhead")


def peak_memory() -> int:
    """The most bytes of memory that this process held, pages of mapped files included."""
    # Linux counts what the process that started this one held into ru_maxrss; VmHWM begins with the program.
    status = Path("/proc/self/status")
    if status.is_file():
        lines = status.read_text(encoding="ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))
    try:
        import resource
    except ImportError:
        raise BenchmarkError(f"peak memory cannot be measured on {sys.platform}; leave out start and memory") from None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10


def _say(answers: Any, answer: object) -> None:
    print(json.dumps(answer), file=answers, flush=True)


class Stopwatch:
    """``with Stopwatch() as watch: ...; watch.seconds``."""

    seconds = 0.0

    def __enter__(self) -> Stopwatch:
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._began
