"""States: caches that the library writes in place, stored as F32, F16 or Q8_0."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ollamax.errors import BackendError
from ollamax.ml.dtype import dequantize, quantize
from ollamax.types import DType
from ollamax_backend_ggml.memory import Residents, zeros

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

STATE_TYPES = (DType.F32, DType.F16, DType.Q8_0)


class State:
    """One state ``(slots, cells, ...)``, zero at first.

    ``tensor`` is ``(width, heads, cells, slots)`` for the library, ``rows`` the same memory as ``(heads * width,
    cells * slots)``.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DType, residents: Residents) -> None:
        self.shape, self.dtype = shape, dtype
        self.slots, self.cells = shape[:2]
        self.width = shape[-1] if len(shape) > 2 else 1
        self.heads = math.prod(shape[2:]) // self.width
        data = zeros(state_size(shape, dtype))
        self.tensor = residents.add(data, dtype, (self.width, self.heads, self.cells, self.slots))
        self.rows = residents.add(data, dtype, (self.width * self.heads, self.cells * self.slots))
        self._kept = data.reshape(self.slots, self.cells, -1)

    def copy_rows(self, source: int, target: int, rows: Array) -> None:
        """Copy cells ``rows`` of one slot to another, as they are kept."""
        self._kept[target, rows] = self._kept[source, rows]

    def slot(self, number: int) -> Array:
        """A copy of one slot, float32 ``(cells, ...)``."""
        return dequantize(self._kept[number].reshape(-1), self.dtype, self.shape[1:])

    def replace(self, number: int, value: Array) -> None:
        """Put ``value (cells, ...)`` into one slot."""
        self._kept[number] = quantize(value, self.dtype).reshape(self.cells, -1)


class States:
    """All states of a loaded backend by name, shared by its programs."""

    def __init__(self, dtype: DType, residents: Residents) -> None:
        if dtype not in STATE_TYPES:
            known = ", ".join(kind.name.lower() for kind in STATE_TYPES)
            raise BackendError(f"backend ggml keeps no {dtype.name.lower()} cache; choose {known}")
        self._dtype, self._residents = dtype, residents
        self._held: dict[str, State] = {}

    def needed(self, name: str, shape: tuple[int, ...]) -> int:
        """Bytes that opening a state would take; raises BackendError where it exists with another shape."""
        if name not in self._held:
            return state_size(shape, self._dtype)
        if self._held[name].shape != shape:
            raise BackendError(f"backend ggml: state {name!r} has shape {self._held[name].shape}, not {shape}")
        return 0

    def open(self, name: str, shape: tuple[int, ...]) -> State:
        """The state of that name, made if it is new."""
        if self.needed(name, shape):
            self._held[name] = State(shape, self._dtype, self._residents)
        return self._held[name]

    def find(self, name: str) -> State:
        """An existing state; raises BackendError for an unknown one."""
        if name not in self._held:
            known = ", ".join(sorted(self._held)) or "none"
            raise BackendError(f"backend ggml: no state {name!r}; there are: {known}")
        return self._held[name]

    def copy_rows(self, source: int, target: int, rows: Array, prefix: str) -> None:
        """Copy cells ``rows`` of slot ``source`` to slot ``target``, in every state whose name begins so."""
        for name, state in self._held.items():
            if name.startswith(prefix):
                state.copy_rows(source, target, rows)


def state_size(shape: tuple[int, ...], dtype: DType) -> int:
    """Bytes of a state; raises BackendError for one that cannot be stored so."""
    width = shape[-1] if len(shape) > 2 else 1
    if len(shape) < 2 or 0 in shape:
        raise BackendError(f"backend ggml: a state of shape {shape} has no slots of cells")
    if width % dtype.block_size:
        raise BackendError(
            f"a {dtype.name.lower()} cache needs heads whose width is a multiple of {dtype.block_size}, not {width}; "
            "use f16"
        )
    return dtype.row_bytes(width) * (math.prod(shape) // width)
