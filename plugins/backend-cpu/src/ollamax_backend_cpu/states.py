"""States of the NumPy backend: caches that are written in place.

A state ``(slots, cells, heads, width)`` is kept with heads before cells, so that attention multiplies contiguous
matrices; the graph sees the order it asked for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ollamax.errors import BackendError

Array = npt.NDArray[Any]


class State:
    """One state, zero at first."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self._by_head = len(shape) == 4
        self._held = np.zeros((shape[0], shape[2], shape[1], shape[3]) if self._by_head else shape, np.float32)

    @property
    def view(self) -> Array:
        """The state in the graph's order; writing to it writes the state."""
        return self._held.swapaxes(1, 2) if self._by_head else self._held

    def read(self, slots: Array, cells: int) -> Array:
        """The first ``cells`` cells of ``slots``; no copy where the slots are neighbours."""
        first, count = int(slots[0]), slots.size
        if count == 1 or bool((np.diff(slots) == 1).all()):
            return self.view[first : first + count, :cells]
        return self.view[:, :cells][slots]

    def write(self, slots: Array, rows: Array, values: Array) -> None:
        """Put ``values (N, T, ...)`` into cells ``rows (N, T)`` of ``slots``."""
        self.view[slots[:, None], rows] = values


class States:
    """All states of a loaded backend by name, shared by its programs."""

    def __init__(self) -> None:
        self._held: dict[str, State] = {}

    def open(self, name: str, shape: tuple[int, ...]) -> State:
        """The state of that name, made if it is new; raises BackendError if it exists with another shape."""
        state = self._held.setdefault(name, State(shape))
        if state.shape != shape:
            raise BackendError(f"backend cpu: state {name!r} has shape {state.shape}, not {shape}")
        return state

    def find(self, name: str) -> State:
        """An existing state; raises BackendError for an unknown one."""
        if name not in self._held:
            known = ", ".join(sorted(self._held)) or "none"
            raise BackendError(f"backend cpu: no state {name!r}; there are: {known}")
        return self._held[name]

    def copy_rows(self, source: int, target: int, rows: Array, prefix: str = "") -> None:
        """Copy cells ``rows`` of slot ``source`` to slot ``target``, in every state whose name begins so."""
        for name, state in self._held.items():
            if name.startswith(prefix):
                state.view[target, rows] = state.view[source, rows]
