"""Runs that can be ended: by Ctrl-C, or by another thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ollamax.errors import BackendError
from ollamax_backend_onnx.runtime import runtime


class Runs:
    """Runs sessions one at a time, in a thread of its own: Python takes signals in the main thread alone."""

    def __init__(self) -> None:
        self._options = runtime().RunOptions()
        self._worker: ThreadPoolExecutor | None = None

    def run(self, session: Any, binding: Any) -> None:
        """Run; raises BackendError when it is cancelled, and what the runtime raises."""
        options = self._options
        try:
            if threading.current_thread() is threading.main_thread():
                self._interruptibly(session, binding)
            else:
                session.run_with_iobinding(binding, options)
        except Exception:
            if options.terminate:
                raise BackendError("backend onnx: the computation was cancelled") from None
            raise
        finally:
            options.terminate = False

    def cancel(self) -> None:
        """End the computation that runs in another thread, or else the next one."""
        self._options.terminate = True

    def close(self) -> None:
        """Release the thread."""
        if self._worker is not None:
            self._worker.shutdown()
            self._worker = None

    def _interruptibly(self, session: Any, binding: Any) -> None:
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, "ollamax-onnx")
        job = Job(lambda: session.run_with_iobinding(binding, self._options))
        try:
            self._worker.submit(job.run)
            job.wait()
        except BaseException:
            self.cancel()
            job.drop()
            raise
        job.check()


class Job:
    """A computation in another thread, which may be dropped at any moment: also while it is handed over."""

    def __init__(self, compute: Callable[[], object]) -> None:
        self._compute = compute
        self._lock, self._done = threading.Lock(), threading.Event()
        self._begun = self._dropped = False
        self._error: BaseException | None = None

    def run(self) -> None:
        """Compute, in the other thread, unless the job was dropped before."""
        with self._lock:
            if self._dropped:
                return
            self._begun = True
        try:
            self._compute()
        except BaseException as error:
            self._error = error
        finally:
            self._done.set()

    def wait(self) -> None:
        """Return when the computation has ended."""
        self._done.wait()

    def check(self) -> None:
        """Raise what the computation raised."""
        if self._error is not None:
            raise self._error

    def drop(self) -> None:
        """Return when nothing is computed any more, however often that is interrupted: memory may be freed then."""
        while True:
            try:
                with self._lock:
                    self._dropped = True
                if self._begun:
                    self._done.wait()
            except KeyboardInterrupt:
                continue
            return
