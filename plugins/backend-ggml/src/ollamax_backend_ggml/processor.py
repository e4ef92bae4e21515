"""The processor as ggml sees it: threads, the computation of a graph, and its interruption."""

from __future__ import annotations

import ctypes
import time
import weakref

from ollamax.backend.hardware import physical_cores
from ollamax.backend.interruption import Interruption
from ollamax.errors import BackendError
from ollamax_backend_ggml.graphics import Graphics
from ollamax_backend_ggml.library import Library

_SUCCESS, _ABORTED = 0, 1
"""GGML_STATUS_SUCCESS and GGML_STATUS_ABORTED."""

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
        self._interruption = Interruption(self.cancel)
        self.graphics: Graphics | None = None

    def compute(self, graph: int) -> bool:
        """Run the nodes of ``graph`` in the calling thread; False where a signal ended it, whose handler went on.

        Raises BackendError when the library fails, or when ``cancel`` was called from another thread.
        """
        # Not in a thread of its own: OpenMP keeps a team for each thread that computes, and with two of them there are
        # more threads than cores, which no longer wait awake for the next node.
        if self._interruption.take():
            self._flag.value = b""
        with self._interruption:
            status = self._compute(graph)
        interrupted = self._interruption.take()
        if interrupted or status != _SUCCESS:
            self._flag.value = b""
        if status == _SUCCESS:
            return True
        if status == _ABORTED and interrupted:
            return False
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
        self._interruption.close()
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
