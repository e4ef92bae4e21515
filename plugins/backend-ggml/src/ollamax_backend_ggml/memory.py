"""Memory that tensors lie in: NumPy arrays that the library uses in place, and what may be taken at all."""

from __future__ import annotations

import mmap
import sys
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ollamax.backend.hardware import available_memory
from ollamax.errors import BackendError
from ollamax_backend_ggml.library import Library, tensor

Array = npt.NDArray[Any]

_ALIGNMENT = 32
"""Below this the library ends the process."""

_RESERVE = 64 << 20
"""Left to the rest of the process."""


def zeros(size: int) -> npt.NDArray[np.uint8]:
    """``size`` bytes of zeros, of which the system gives a page when it is first touched. Raises BackendError.

    NumPy's own would ask for huge pages, of which a few tokens of each cache touch many.
    """
    private = {} if sys.platform == "win32" else {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS}
    try:
        return np.frombuffer(mmap.mmap(-1, max(size, 1), **private), np.uint8, size)
    except (OSError, OverflowError, MemoryError):
        raise BackendError(f"backend ggml: {size:,} bytes of memory cannot be allocated") from None


def fits_in_place(data: npt.NDArray[np.uint8]) -> bool:
    """Whether the library can use ``data`` where it lies."""
    return data.ctypes.data % _ALIGNMENT == 0 and data.flags.c_contiguous


def aligned(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """``data``, or a copy of it where the library could not use it in place."""
    if fits_in_place(data):
        return data
    copy = zeros(data.size)
    copy[:] = data
    return copy


class Budget:
    """What a backend was granted of the memory that was free when it began, by purpose.

    Much of it is touched only later, a cache cell by cell and mapped weights page by page, so that the system goes on
    calling it free.
    """

    def __init__(self) -> None:
        self._free = available_memory() - _RESERVE
        self._granted: dict[str, int] = {}

    def take(self, needed: Mapping[str, int], *, instead: bool = False) -> None:
        """Count ``needed`` (bytes by purpose) in, ``instead`` of what the same purposes have.

        Raises BackendError with the figures where all of it, or this alone by now, does not fit; then nothing changes.
        """
        before = {} if instead else self._granted
        after = self._granted | {purpose: before.get(purpose, 0) + size for purpose, size in needed.items()}
        _check_room(after, self._free)
        _check_room(needed, available_memory() - _RESERVE)
        self._granted = after


def _check_room(needed: Mapping[str, int], free: int) -> None:
    total = sum(needed.values())
    if total > free:
        parts = ", ".join(f"{purpose} {size / 1e6:,.0f} MB" for purpose, size in needed.items() if size)
        raise BackendError(
            f"backend ggml: the model needs {total / 1e6:,.0f} MB ({parts}) and {max(free, 0) / 1e6:,.0f} MB are "
            "free; take a smaller num_ctx, fewer sequences, a smaller model, or a more compact cache type"
        )


class Residents:
    """Tensors over arrays that the library reads and writes in place; both live until ``close``, or as long as this."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._held: list[Array] = []
        self._buffers: list[int] = []
        self._contexts: list[int] = []
        self._free = weakref.finalize(self, _free, library, self._buffers, self._contexts, self._held)

    def add(self, data: Array, kind: int, sizes: tuple[int, ...]) -> int:
        """A tensor of ggml type ``kind`` and ``sizes`` (fastest first) over aligned ``data``, which is large enough."""
        library = self._library
        address = data.ctypes.data
        made = self.blank(kind, sizes)
        buffer = library.backend_cpu_buffer_from_ptr(address, max(data.nbytes, 1))
        if not buffer:
            raise BackendError(f"backend ggml: no buffer for {data.nbytes:,} bytes: {library.drain_log()}")
        self._buffers.append(buffer)
        self._held.append(data)
        library.backend_tensor_alloc(buffer, made, address)
        return made

    def add_zeros(self, memory: int, kind: int, sizes: tuple[int, ...]) -> int:
        """A tensor of zeros in memory of buffer type ``memory``; raises BackendError when that is short."""
        library, made = self._library, self.blank(kind, sizes)
        size = library.backend_buft_get_alloc_size(memory, made)
        buffer = library.backend_buft_alloc_buffer(memory, size)
        if not buffer:
            raise BackendError(f"backend ggml: {size:,} bytes for the cache cannot be allocated: {library.drain_log()}")
        self._buffers.append(buffer)
        library.backend_tensor_alloc(buffer, made, library.backend_buffer_get_base(buffer))
        library.backend_buffer_clear(buffer, 0)
        return made

    def alignment(self, memory: int) -> int:
        """What places in memory of buffer type ``memory`` are a multiple of."""
        return int(self._library.backend_buft_get_alignment(memory))

    def view(self, whole: int, sizes: tuple[int, ...]) -> int:
        """The same memory in another shape, which the library knows to be the same."""
        made = int(self._library.reshape_4d(self._context(), whole, *(*sizes, 1, 1, 1)[:4]))
        self._library.backend_view_init(made)
        return made

    def read(self, source: int, start: int, size: int) -> npt.NDArray[np.uint8]:
        """A copy of bytes of a tensor, wherever it lies."""
        return fetch(self._library, source, start, size)

    def write(self, target: int, start: int, data: Array) -> None:
        """Put bytes into a tensor, wherever it lies."""
        whole = np.ascontiguousarray(data)
        self._library.backend_tensor_set(target, whole.ctypes.data, start, whole.nbytes)

    def blank(self, kind: int, sizes: tuple[int, ...]) -> int:
        """A tensor without data."""
        return int(self._library.new_tensor_4d(self._context(), kind, *(*sizes, 1, 1, 1)[:4]))

    def product(self, matrix: int, rows: int) -> int:
        """The description of a matrix product."""
        return int(self._library.mul_mat(self._context(), matrix, rows))

    def _context(self) -> int:
        """Room for the description of one tensor."""
        library = self._library
        settings = library.struct("init_params")(mem_size=2 * library.tensor_overhead(), mem_buffer=None, no_alloc=True)
        context = library.init(settings)
        if not context:
            raise BackendError("backend ggml: no memory for a tensor's description")
        self._contexts.append(context)
        return int(context)

    def own(self, buffer: int) -> None:
        """Free ``buffer`` on close, too."""
        self._buffers.append(buffer)

    def close(self) -> None:
        """Free buffers and descriptions; the tensors are invalid then."""
        self._free()


def _free(library: Library, buffers: list[int], contexts: list[int], held: list[Array]) -> None:
    for buffer in buffers:
        library.backend_buffer_free(buffer)
    for context in contexts:
        library.free(context)
    held.clear()


def fetch(library: Library, source: int, start: int, size: int) -> npt.NDArray[np.uint8]:
    """A copy of bytes of a tensor, wherever it lies."""
    data = np.empty(size, np.uint8)
    library.backend_tensor_get(source, data.ctypes.data, start, size)
    return data


def window(library: Library, address: int, kind: Any, count: int) -> Array:
    """The data of a tensor in plain memory as an array of ``count`` numbers; valid as long as the tensor is."""
    import ctypes

    place = tensor(library, address).data
    return np.frombuffer((ctypes.c_char * (count * np.dtype(kind).itemsize)).from_address(place), kind)
