"""Ctrl-C while native code computes: Python runs handlers of signals only when its main thread is back."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import weakref
from collections.abc import Callable

_ENDING = {int(signal.SIGINT), int(signal.SIGTERM)}


class Interruption:
    """``with interruption:`` around a computation of the main thread calls ``stop`` when a signal asks for its end.

    Python's own handler, written in C, tells a socket of each signal at once; a thread that sleeps there calls
    ``stop``. In other threads, which get no signals, nothing happens.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop, self._lock = stop, threading.Lock()
        self._sender: socket.socket | None = None
        self._before, self._armed = -1, False
        self._interrupted = False

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        if self._sender is None:
            self._listen()
        assert self._sender is not None
        self._armed = True
        before = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        self._before = -1 if before == self._sender.fileno() else before

    def __exit__(self, *_: object) -> None:
        if self._armed:
            try:
                with self._lock:
                    self._armed = False
            finally:
                signal.set_wakeup_fd(self._before)

    def take(self) -> bool:
        """Whether a signal called ``stop`` since the last time this was asked.

        Ask after the block, and before the next one too: the signal's handler may have left before.
        """
        interrupted, self._interrupted = self._interrupted, False
        return interrupted

    def close(self) -> None:
        """End the thread; a second call does nothing."""
        if self._sender is not None:
            self._release()
            self._sender = None

    def tell(self, signals: bytes) -> None:
        """Signals came, by their numbers."""
        if self._before >= 0 and sys.platform != "win32":
            os.write(self._before, signals)  # an event loop, which waits for signals as well
        with self._lock:
            if self._armed and _ENDING.intersection(signals):
                self._interrupted = True
                self._stop()

    def _listen(self) -> None:
        receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)
        self._release = weakref.finalize(self, self._sender.close)
        # The thread holds no reference to what it serves, so that a backend that nobody closes can go.
        arguments = (receiver, weakref.ref(self))
        threading.Thread(target=_watch, args=arguments, name="ollamax-signals", daemon=True).start()


def _watch(receiver: socket.socket, owner: Callable[[], Interruption | None]) -> None:
    with receiver:
        while signals := receiver.recv(64):
            interruption = owner()
            if interruption is not None:
                interruption.tell(signals)
            del interruption
