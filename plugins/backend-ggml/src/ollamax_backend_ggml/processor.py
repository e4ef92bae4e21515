"""The processor as ggml sees it: threads, the computation of a graph, and its interruption."""

from __future__ import annotations

import ctypes
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ollamax.errors import BackendError
from ollamax_backend_ggml.graphics import Graphics
from ollamax_backend_ggml.hardware import physical_cores
from ollamax_backend_ggml.library import Library

_FAILED, _SUCCESS, _ABORTED = -1, 0, 1
"""GGML_STATUS_FAILED, GGML_STATUS_SUCCESS and GGML_STATUS_ABORTED."""

_TYPE_CPU = 0
"""GGML_BACKEND_DEVICE_TYPE_CPU."""

MOST_THREADS = 512
"""GGML_MAX_N_THREADS: more end the process."""


class Processor:
    """Computes graphs on ``threads`` threads, which sleep between computations.

    ``buffer_type`` is that of plain memory, ``packed_types`` those that keep matrices in an order of their own.
    With ``graphics`` graphs are split between both. ``seconds`` is the time spent in the library's computations so far,
    without what Python adds.
    """

    def __init__(self, library: Library, threads: int | None) -> None:
        self.threads = physical_cores() if threads is None else threads
        if not 1 <= self.threads <= MOST_THREADS:
            raise BackendError(f"backend ggml: num_thread is {self.threads}, expected 1 to {MOST_THREADS}")
        self._library, self.seconds = library, 0.0
        self.device: int = library.backend_dev_by_type(_TYPE_CPU)
        self.buffer_type: int = library.backend_cpu_buffer_type()
        self.packed_types = _packed_types(library, self.device)
        self.handle: int = library.backend_dev_init(self.device, None)
        if not self.handle:
            raise BackendError(f"backend ggml: the library cannot start: {library.drain_log() or 'it gives no reason'}")
        self._pool = _thread_pool(library, self.threads)
        self._free = weakref.finalize(self, _free, library, self.handle, self._pool)
        library.backend_cpu_set_threadpool(self.handle, self._pool)
        self.use(self.threads)
        self._flag = ctypes.create_string_buffer(2)
        # The library asks between operations whether to stop. strlen of a text of at most one character says so
        # without taking the GIL, which a Python function would have to.
        asked = ctypes.cast(ctypes.CDLL(None).strlen, ctypes.c_void_p)
        library.backend_cpu_set_abort_callback(self.handle, asked, ctypes.addressof(self._flag))
        self._worker: ThreadPoolExecutor | None = None
        self.graphics: Graphics | None = None

    def compute(self, graph: int, long: bool) -> None:
        """Run the nodes of ``graph``; Ctrl-C ends a ``long`` one between two of them, and any on several threads.

        Raises BackendError when the library fails, or when ``cancel`` was called from another thread.
        """
        # OpenMP keeps a team of threads for each thread that computes. With two teams there are more threads than
        # cores, and it no longer lets them wait awake for the next node: all of a model must compute in one thread.
        apart = long or self._used > 1
        status = self._interruptibly(graph) if apart else self._compute(graph)
        if status == _SUCCESS:
            return
        self._flag.value = b""
        if status == _ABORTED:
            raise BackendError("backend ggml: the computation was cancelled")
        raise BackendError(f"backend ggml: the computation failed: {self._library.drain_log() or f'status {status}'}")

    def use(self, threads: int) -> None:
        """From now on compute on so many threads, at most those that were started."""
        self._used = min(threads, self.threads)
        self._library.backend_cpu_set_n_threads(self.handle, self._used)

    def cancel(self) -> None:
        """End the computation that runs in another thread, or else the next one."""
        self._flag.value = b"x"

    def close(self) -> None:
        """Release the threads and the handle; a second call does nothing."""
        if self._worker is not None:
            self._worker.shutdown()
            self._worker = None
        self._free()

    def _compute(self, graph: int) -> int:
        """The library's status."""
        began = time.perf_counter()
        if self.graphics:
            status = self.graphics.compute(graph)
        else:
            status = int(self._library.backend_graph_compute(self.handle, graph))
        self.seconds += time.perf_counter() - began
        return status

    def _interruptibly(self, graph: int) -> int:
        """Compute in another thread, so that this one can take signals, whose handlers Python runs in it only."""
        if threading.current_thread() is not threading.main_thread():
            return self._compute(graph)
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, "ollamax-ggml")
        job = Job(lambda: self._compute(graph))
        try:
            self._worker.submit(job.run)
            return job.wait()
        except BaseException:
            self.cancel()
            job.drop()
            self._flag.value = b""
            raise


class Job:
    """A computation in another thread, which may be dropped at any moment: also while it is handed over."""

    def __init__(self, compute: Callable[[], int]) -> None:
        self._compute = compute
        self._lock, self._done = threading.Lock(), threading.Event()
        self._begun = self._dropped = False
        self._status = _FAILED

    def run(self) -> None:
        """Compute, in the other thread, unless the job was dropped before."""
        with self._lock:
            if self._dropped:
                return
            self._begun = True
        try:
            self._status = self._compute()
        finally:
            self._done.set()

    def wait(self) -> int:
        """The status, when the computation has ended."""
        self._done.wait()
        return self._status

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


def _free(library: Library, handle: int, pool: int) -> None:
    library.backend_free(handle)
    library.threadpool_free(pool)


def _thread_pool(library: Library, threads: int) -> int:
    settings = library.threadpool_params_default(threads)
    settings.poll = 0  # wait asleep for the next graph
    pool = library.threadpool_new(ctypes.addressof(settings))
    if not pool:
        raise BackendError(f"backend ggml: {threads} threads cannot be started; choose a smaller num_thread")
    return int(pool)


def _packed_types(library: Library, device: int) -> list[int]:
    """Buffer types of the device that pack matrices, the best first."""
    register = library.backend_dev_backend_reg(device)
    address = library.backend_reg_get_proc_address(register, b"ggml_backend_dev_get_extra_bufts")
    if not address:
        return []
    listing = ctypes.CFUNCTYPE(ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p)(address)(device)
    found: list[int] = []
    while listing and (kind := listing[len(found)]):
        found.append(int(kind))
    return found
