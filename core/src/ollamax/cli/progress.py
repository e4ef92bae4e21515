"""Progress of long work, on stderr: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.table import Column

# Plain output: a line needs this many seconds since the last one, and this share of the whole or a long
# silence.
_LINE_SECONDS = 2.0
_LINE_SHARE = 0.1
_SILENCE_SECONDS = 30.0


class Progress(Protocol):
    """What ``progress`` hands to the work."""

    def update(self, amount: int, detail: str = "") -> None:
        """``amount`` more bytes are done; ``detail`` names what is being worked on, such as a tensor."""

    def reach(self, done: int, total: int) -> None:
        """``done`` of ``total`` bytes are done, for work that learns only on the way how much there is."""


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

    ``total`` is the number of bytes to come; None, while it is unknown, shows a spinner. On a terminal this is a
    bar with rate and remaining time, which vanishes at the end. Elsewhere it is a line every two seconds at most,
    and if there was such a line, or ``total`` was given, one at the end. ``quiet`` prints nothing. An exception
    passes through.
    """
    stream = stream or sys.stderr
    if quiet:
        yield _Silent()
    elif stream.isatty() and os.environ.get("TERM") != "dumb":
        with _bar(label, total, stream) as bar:
            yield bar
    else:
        lines = _Lines(label, total, stream, clock)
        yield lines
        lines.finish()


class _Silent:
    def update(self, amount: int, detail: str = "") -> None:
        """Show nothing."""

    def reach(self, done: int, total: int) -> None:
        """Show nothing."""


class _Lines:
    """Plain lines such as ``converting: 40 % (1.2 GB of 3.0 GB), blk.7.ffn_up.weight``."""

    def __init__(self, label: str, total: int | None, stream: TextIO, clock: Callable[[], float]) -> None:
        self._label, self._total, self._stream, self._clock = label, total or 0, stream, clock
        self._ends = total is not None
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
            self._last_time, self._last_done, self._ends = self._clock(), self._done, True

    def reach(self, done: int, total: int) -> None:
        self._total = total
        self.update(done - self._done)

    def finish(self) -> None:
        """Say how much was done in what time, where that is worth a line."""
        if self._ends:
            self._print(f"{format_size(self._done)} in {self._clock() - self._start:.1f} s")

    def _print(self, text: str) -> None:
        print(f"{self._label}: {text}", file=self._stream, flush=True)


class _Bar:
    def __init__(self, display: RichProgress, label: str, total: int | None) -> None:
        self._display, self._sized = display, False
        self._task = display.add_task(label, total=total, detail="")
        if total is not None:
            self._show_size()

    def update(self, amount: int, detail: str = "") -> None:
        self._display.update(self._task, advance=amount, detail=detail)

    def reach(self, done: int, total: int) -> None:
        self._show_size()
        self._display.update(self._task, completed=done, total=total)

    def _show_size(self) -> None:
        """Add the columns that mean something only when the total is known."""
        if self._sized:
            return
        from rich import progress as rich

        sizes = (
            rich.BarColumn(20),
            rich.TaskProgressColumn(),
            rich.DownloadColumn(table_column=_unbroken()),
            rich.TransferSpeedColumn(table_column=_unbroken()),
            rich.TimeRemainingColumn(compact=True, table_column=_unbroken()),
        )
        spinner, description, detail = self._display.columns
        self._display.columns = (spinner, description, *sizes, detail)
        self._sized = True


@contextmanager
def _bar(label: str, total: int | None, stream: TextIO) -> Iterator[_Bar]:
    # rich takes a tenth of a second to import; only a terminal needs it.
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False, table_column=_unbroken()),
        TextColumn("{task.fields[detail]}", markup=False, table_column=_unbroken()),
    )
    with Progress(*columns, console=Console(file=stream), transient=True) as display:
        yield _Bar(display, label, total)


def _unbroken() -> Column:
    """A column that a narrow window cuts off; a broken line would leave its first part on the screen."""
    from rich.table import Column

    return Column(no_wrap=True, overflow="ellipsis")


def format_size(size: float) -> str:
    """``size`` bytes in the units of disks: 999 B, 1.2 kB, 3.4 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 99.5 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
