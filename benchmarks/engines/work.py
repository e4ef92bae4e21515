"""What a worker process does: it loads a model once and then times one piece of work after the other.

A line of JSON on standard input names the work and its numbers; a line on standard output gives the seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Protocol

import numpy as np


class Engine(Protocol):
    """What both engines can do; every method leaves the caches as the next one expects them."""

    def prompt(self, tokens: int) -> float:
        """Seconds to read a prompt into an empty cache and get the last token's logits."""

    def decode(self, steps: int, held: int) -> float:
        """Seconds for ``steps`` greedy tokens behind ``held`` others, one at a time."""

    def parallel(self, sequences: int, steps: int) -> float:
        """Seconds for ``steps`` greedy tokens of each of several sequences, in one step together."""


def arguments(backend: str | None = None) -> argparse.Namespace:
    """A model and the size of its cache; and a backend, where there is a choice with ``backend`` as its default."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    if backend:
        parser.add_argument("--backend", default=backend)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--context", type=int, required=True, help="cells of each sequence")
    parser.add_argument("--sequences", type=int, default=1)
    return parser.parse_args()


def random_ids(vocabulary: int, count: int, seed: int = 0) -> list[int]:
    """The same tokens for every engine."""
    return np.random.default_rng(seed).integers(0, vocabulary, count).tolist()


def serve(engine: Engine, version: str) -> None:
    """Say which ``version`` is ready, and answer lines until there are no more."""
    say({"ready": version})
    for line in sys.stdin:
        work = json.loads(line)
        say({"seconds": getattr(engine, work["do"])(*work["with"])})


def say(answer: object) -> None:
    """One line of JSON."""
    print(json.dumps(answer), flush=True)


class Stopwatch:
    """``with Stopwatch() as watch: ...; watch.seconds``."""

    seconds = 0.0

    def __enter__(self) -> Stopwatch:
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._began
