"""A graphics processor beside the processor: its memory, and graphs that are split between the two."""

from __future__ import annotations

import ctypes
import weakref

from ollamax.errors import BackendError
from ollamax_backend_ggml.library import BUILD, Library

_TYPES = (1, 2)
"""GGML_BACKEND_DEVICE_TYPE_GPU, and IGPU, which shares the main memory; the first is preferred."""

_ROOM = 16384
"""Nodes and leaves of a graph that a scheduler takes, at least."""


def find_device(library: Library) -> int | None:
    """The first graphics processor that the library offers."""
    devices = [library.backend_dev_get(number) for number in range(library.backend_dev_count())]
    kinds = [library.backend_dev_type(device) for device in devices]
    return next(
        (device for wanted in _TYPES for device, kind in zip(devices, kinds, strict=True) if kind == wanted), None
    )


def device_memory(library: Library, device: int) -> tuple[int, int]:
    """Free bytes, and bytes in all."""
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    library.backend_dev_memory(device, ctypes.addressof(free), ctypes.addressof(total))
    return free.value, total.value


def device_text(library: Library, device: int) -> str:
    """What the library calls a device."""
    return " ".join(library.backend_dev_description(device).decode("utf-8", "replace").split())


class Graphics:
    """The first graphics processor, and a scheduler that gives it what its memory holds.

    ``processor`` is the library's handle of the processor, which computes the rest. Raises BackendError where there is
    no such device, or it does not start.
    """

    def __init__(self, library: Library, processor: int) -> None:
        self._library, self._processor = library, processor
        device = find_device(library)
        if device is None:
            raise BackendError(
                "backend ggml: the installed library offers no graphics processor; set num_gpu to 0, or build the "
                f"library for one: {BUILD}"
            )
        self.name = library.backend_dev_name(device).decode("utf-8", "replace")
        self.buffer_type: int = library.backend_dev_buffer_type(device)
        self._handle: int = library.backend_dev_init(device, None)
        if not self._handle:
            raise BackendError(
                f"backend ggml: {self.name} does not start: {library.drain_log() or 'it gives no reason'}"
            )
        self._free_handle = weakref.finalize(self, library.backend_free, self._handle)
        self._device, self._room, self._scheduler = device, 0, 0

    @property
    def free(self) -> int:
        """Bytes of its memory that can be taken."""
        return device_memory(self._library, self._device)[0]

    def place(self, graph: int) -> bool:
        """Split ``graph`` and give all of it memory; whether there was enough. The graph before it cannot run again."""
        library = self._library
        wanted = 2 * library.graph_size(graph)
        if wanted > self._room:
            self._drop()
            self._room = max(wanted, _ROOM)
            both = (ctypes.c_void_p * 2)(self._handle, self._processor)
            self._scheduler = library.backend_sched_new(ctypes.addressof(both), None, 2, self._room, False, False)
            self._free_scheduler = weakref.finalize(self, library.backend_sched_free, self._scheduler)
        library.backend_sched_reset(self._scheduler)
        return bool(library.backend_sched_alloc_graph(self._scheduler, graph))

    def compute(self, graph: int) -> int:
        """Run the graph that was placed last; the library's status."""
        return int(self._library.backend_sched_graph_compute(self._scheduler, graph))

    def close(self) -> None:
        """Release the device; what lies in its memory must have been freed."""
        self._drop()
        self._free_handle()

    def _drop(self) -> None:
        if self._scheduler:
            self._free_scheduler()
            self._scheduler, self._room = 0, 0
