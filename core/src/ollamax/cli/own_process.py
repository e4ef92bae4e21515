"""What a command changes of its process while it runs: warnings are one line each, and SIGTERM is an exit."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ollamax.cli.console import print_warning


@contextmanager
def own_process() -> Iterator[None]:
    """SIGTERM raises SystemExit within the block, so that what is half written goes; its status is 143.

    It does not where somebody else handles the signal, or this is not the main thread, which gets all signals.
    """
    mine = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print_warning(str(message))
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
