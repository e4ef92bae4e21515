"""A worker process seen from the benchmark: work in, seconds out."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any, Self

FOLDER = Path(__file__).parent


class Worker:
    """One engine with one model; ``options`` are those of work.arguments, ``version`` what it runs."""

    def __init__(self, python: str, script: str, model: Path, **options: object) -> None:
        numbers = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        began = time.perf_counter()
        self._process = subprocess.Popen(
            [python, str(FOLDER / script), str(model), *numbers],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._began = began
        self.version = str(self._read()["ready"])

    def run(self, work: str, *numbers: int) -> float:
        """Seconds that the worker took for it."""
        self._write({"do": work, "with": numbers})
        return float(self._read()["seconds"])

    def since_start(self) -> float:
        """Seconds since the process was started."""
        return time.perf_counter() - self._began

    def close(self) -> int:
        """End it; returns the most memory that it held, in bytes (0 for one that has ended)."""
        if self._process.returncode is not None:
            return 0
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return usage.ru_maxrss * 1024

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, work: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(work) + "\n")
        self._process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a worker ended early: {' '.join(map(str, self._process.args))}")
        answer: dict[str, Any] = json.loads(line)
        return answer
