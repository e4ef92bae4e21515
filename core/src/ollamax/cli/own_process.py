"""What a command changes of its process while it runs: warnings are one line each, and SIGTERM is an exit."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TextIO

from ollamax.cli.console import print_warning


@contextmanager
def own_process() -> Iterator[None]:
    """SIGTERM raises SystemExit within the block, so that what is half written goes; its status is 143.

    It does not where somebody else handles the signal, or this is not the main thread, which gets all signals.
    """
    mine = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    with warnings.catch_warnings():
        warnings.showwarning = _show
        if mine:
            signal.signal(signal.SIGTERM, _exit)
        try:
            yield
        finally:
            if mine:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one would keep the first from tidying up
    raise SystemExit(128 + number)


def _show(
    message: Warning | str,
    category: type[Warning],  # noqa: ARG001 - as warnings.showwarning
    filename: str,  # noqa: ARG001
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    print_warning(str(message))
