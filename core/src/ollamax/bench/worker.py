"""A worker process seen from whoever measures: work in, answers out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from ollamax.errors import BenchmarkError, one_line


@dataclass(frozen=True)
class Contender:
    """An engine with a model: the ``command`` that starts its worker (see ``work.serve``).

    ``environment`` is laid over that of this process. ``only_fresh``: it takes part in rows of a fresh process alone.
    """

    label: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    only_fresh: bool = False

    def start(self, context: int, sequences: int = 1) -> Worker:
        """A worker whose cache has ``context`` cells for each of ``sequences``."""
        numbers = ["--context", str(context), "--sequences", str(sequences)]
        return Worker(self.label, [*self.command, *numbers], self.environment)


def own_contender(
    model: str,
    backend: str,
    *,
    num_thread: int | None = None,
    num_batch: int | None = None,
    num_gpu: int | None = None,
    cache_type: str | None = None,
    label: str | None = None,
) -> Contender:
    """ollamax with one of its backends; None leaves the choice to it. ``label`` is by default the backend's name."""
    flags = {"backend": backend, "threads": num_thread, "batch": num_batch, "layers": num_gpu, "cache-type": cache_type}
    given = [f"--{name}={value}" for name, value in flags.items() if value is not None]
    return Contender(label or backend, [sys.executable, "-m", "ollamax.bench.engine", model, *given])


class Worker:
    """A process that loads a model and then does what it is told.

    It is in a session of its own, so that Ctrl-C reaches only this side, which then ends it; and it ends by itself when
    this side is gone.
    """

    def __init__(self, label: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._label, self._began = label, time.perf_counter()
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        except OSError as error:
            raise BenchmarkError(f"{label}: its worker cannot be started: {error.strerror}: {command[0]}") from None

    def run(self, work: str, *numbers: int) -> Any:
        """What the worker answers; BenchmarkError with its error, or where it ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": work, "with": numbers}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it may have said why
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            raise BenchmarkError(f"{self._label}: its worker ended with status {status} before it had done {work!r}")
        answer = json.loads(line)
        if "error" in answer:
            raise BenchmarkError(f"{self._label}: {one_line(str(answer['error']))}")
        return answer["answer"]

    def since_start(self) -> float:
        """Seconds since the process was started."""
        return time.perf_counter() - self._began

    def close(self) -> None:
        """Wait until it has ended by itself; a second call does nothing."""
        self._close_pipes()
        self._process.wait()

    def kill(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()
        self.close()

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.kill()
