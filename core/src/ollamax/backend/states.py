"""The states of a loaded backend by name: the book that every backend keeps, whatever its states are made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ollamax.errors import BackendError
from ollamax.ml.graph import Graph
from ollamax.ml.shape import concrete
from ollamax.types import DType

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]


class State(ABC):
    """One state of ``shape (slots, cells, ...)``, zero at first; its layout is the backend's secret."""

    shape: tuple[int, ...]

    @abstractmethod
    def copy_rows(self, source: int, target: int, rows: Array) -> None:
        """Copy cells ``rows`` of one slot to another, as they are kept."""

    @abstractmethod
    def slot(self, number: int) -> Array:
        """A copy of one slot, float32 ``(cells, ...)``."""

    @abstractmethod
    def replace(self, number: int, value: Array) -> None:
        """Put ``value (cells, ...)`` into one slot."""


Kept = TypeVar("Kept", bound=State)


class States(Generic[Kept]):
    """Shared by all programs of a backend, which is called ``backend`` in messages; stored as ``dtype``."""

    def __init__(self, backend: str, dtype: DType) -> None:
        self._backend, self._dtype = backend, dtype
        self._held: dict[str, Kept] = {}
        self._closed = False

    def check_open(self) -> None:
        """Raise BackendError after ``close``."""
        if self._closed:
            raise BackendError(f"backend {self._backend}: the backend was closed")

    def new(self, graph: Graph) -> dict[str, tuple[int, ...]]:
        """The shapes of the states of ``graph`` that do not exist yet.

        Raises BackendError for one that exists with another shape, or that cannot be stored, and after ``close``.
        """
        self.check_open()
        found = {}
        for name, node in graph.states.items():
            shape = concrete(node.shape, {})
            if name not in self._held:
                self._check(shape)
                found[name] = shape
            elif self._held[name].shape != shape:
                held = self._held[name].shape
                raise BackendError(f"backend {self._backend}: state {name!r} has shape {held}, not {shape}")
        return found

    def open(self, graph: Graph, make: Callable[[str, tuple[int, ...]], Kept]) -> None:
        """Have all states of ``graph``: ``make`` makes those that are new. Raises BackendError as ``new`` does."""
        for name, shape in self.new(graph).items():
            self._held[name] = make(name, shape)

    def find(self, name: str) -> Kept:
        """An existing state; raises BackendError for an unknown one."""
        if name not in self._held:
            known = ", ".join(self.names) or "none"
            raise BackendError(f"backend {self._backend}: no state {name!r}; there are: {known}")
        return self._held[name]

    @property
    def names(self) -> list[str]:
        """What the states are called, in alphabetical order."""
        return sorted(self._held)

    def copy_rows(self, source: int, target: int, rows: Array, prefix: str) -> None:
        """Copy cells ``rows`` of slot ``source`` to slot ``target``, in every state whose name begins so."""
        for name, state in self._held.items():
            if name.startswith(prefix):
                state.copy_rows(source, target, rows)

    def replace(self, name: str, slot: int, value: Array) -> None:
        """Put ``value`` into one slot of a state; raises BackendError for another shape than a slot's."""
        state = self.find(name)
        if value.shape != state.shape[1:]:
            expected = f"takes {state.shape[1:]} per slot, not {value.shape}"
            raise BackendError(f"backend {self._backend}: state {name!r} {expected}")
        state.replace(slot, value)

    def close(self) -> None:
        """Let go of all states, with the backend."""
        self._closed = True
        self._held.clear()

    def _check(self, shape: tuple[int, ...]) -> None:
        if len(shape) < 2 or 0 in shape:
            raise BackendError(f"backend {self._backend}: a state of shape {shape} has no slots of cells")
        width, block = shape[-1] if len(shape) > 2 else 1, self._dtype.block_size
        if width % block:
            raise BackendError(
                f"a {self._dtype.name.lower()} cache needs heads whose width is a multiple of {block}, not {width}; "
                "use f16"
            )
