"""Progress of long work, on stderr: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

# Plain output: a line needs this many seconds since the last one, and this share of the whole or a long
# silence.
_LINE_SECONDS = 2.0
_LINE_SHARE = 0.1
_SILENCE_SECONDS = 30.0


class Progress(Protocol):
    """What ``progress`` hands to the work."""

    def update(self, amount: int, detail: str = "") -> None:
        """``amount`` more bytes are done; ``detail`` names what is being worked on, such as a tensor."""


@contextmanager
def progress(
    label: str,
    total: int | None = None,
    *,
    quiet: bool = False,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Progress]:
    """Show that ``label`` ("converting") is under way while the block runs.

    ``total`` is the number of bytes to come, as reported by ``update``; None, where it is unknown, shows a
    spinner. On a terminal that is a bar with rate and remaining time, which vanishes at the end. Elsewhere
    it is a line about every two seconds at most, and for work with a total one line at the end; a spinner
    prints nothing. ``quiet`` prints nothing at all. An exception passes through.
    """
    stream = stream or sys.stderr
    if quiet:
        yield _Silent()
    elif stream.isatty() and os.environ.get("TERM") != "dumb":
        with _bar(label, total, stream) as bar:
            yield bar
    elif total is None:
        yield _Silent()
    else:
        lines = _Lines(label, total, stream, clock)
        yield lines
        lines.finish()


class _Silent:
    def update(self, amount: int, detail: str = "") -> None:
        """Show nothing."""


class _Lines:
    """Plain lines such as ``converting: 40 % (1.2 GB of 3.0 GB), blk.7.ffn_up.weight``."""

    def __init__(self, label: str, total: int, stream: TextIO, clock: Callable[[], float]) -> None:
        self._label, self._total, self._stream, self._clock = label, total, stream, clock
        self._start = self._last_time = clock()
        self._done = self._last_done = 0

    def update(self, amount: int, detail: str = "") -> None:
        self._done += amount
        waited = self._clock() - self._last_time
        advanced = self._done - self._last_done >= _LINE_SHARE * self._total
        if waited >= _SILENCE_SECONDS or (waited >= _LINE_SECONDS and advanced):
            share = min(100, 100 * self._done // max(self._total, 1))
            size = f"{format_size(self._done)} of {format_size(self._total)}"
            self._print(f"{share} % ({size})" + (f", {detail}" if detail else ""))
            self._last_time, self._last_done = self._clock(), self._done

    def finish(self) -> None:
        """Say how much was done in what time."""
        self._print(f"{format_size(self._done)} in {self._clock() - self._start:.1f} s")

    def _print(self, text: str) -> None:
        print(f"{self._label}: {text}", file=self._stream, flush=True)


class _Bar:
    def __init__(self, advance: Callable[[int, str], None]) -> None:
        self._advance = advance

    def update(self, amount: int, detail: str = "") -> None:
        self._advance(amount, detail)


@contextmanager
def _bar(label: str, total: int | None, stream: TextIO) -> Iterator[_Bar]:
    # rich takes a tenth of a second to import; only a terminal needs it.
    from rich import progress as rich_progress
    from rich.console import Console
    from rich.markup import escape

    columns: list[rich_progress.ProgressColumn] = [
        rich_progress.SpinnerColumn(),
        rich_progress.TextColumn("{task.description}"),
    ]
    if total is not None:
        columns += [
            rich_progress.BarColumn(),
            rich_progress.TaskProgressColumn(),
            rich_progress.DownloadColumn(),
            rich_progress.TransferSpeedColumn(),
            rich_progress.TimeRemainingColumn(),
        ]
    columns.append(rich_progress.TextColumn("{task.fields[detail]}"))
    with rich_progress.Progress(*columns, console=Console(file=stream), transient=True) as display:
        task = display.add_task(escape(label), total=total, detail="")
        yield _Bar(lambda amount, detail: display.update(task, advance=amount, detail=escape(detail)))


def format_size(size: float) -> str:
    """``size`` bytes in the units of disks: 999 B, 1.2 kB, 3.4 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 99.5 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
