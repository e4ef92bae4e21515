"""Ctrl-C while the library computes: Python runs handlers of signals only when its main thread is back."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable

_ENDING = {int(signal.SIGINT), int(signal.SIGTERM)}


class Interruption:
    """``with interruption:`` around a computation of the main thread calls ``stop`` when a signal asks for its end.

    Python's own handler, written in C, tells a socket of each signal at once; a thread that sleeps there calls
    ``stop``. ``interrupted`` says whether it did, until somebody takes that back. In other threads, which get no
    signals, nothing happens.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop, self._lock = stop, threading.Lock()
        self._sender: socket.socket | None = None
        self._before, self._armed = -1, False
        self.interrupted = False

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

    def close(self) -> None:
        """End the thread; a second call does nothing."""
        if self._sender is not None:
            self._sender.close()
            self._sender = None

    def _listen(self) -> None:
        receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)
        threading.Thread(target=self._watch, args=(receiver,), name="ollamax-ggml-signals", daemon=True).start()

    def _watch(self, receiver: socket.socket) -> None:
        with receiver:
            while told := receiver.recv(64):
                if self._before >= 0 and sys.platform != "win32":
                    os.write(self._before, told)  # an event loop, which waits for signals as well
                with self._lock:
                    if self._armed and _ENDING.intersection(told):
                        self.interrupted = True
                        self._stop()
