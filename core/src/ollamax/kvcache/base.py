"""What a model's ``forward`` sees of the cache of its own keys and values, while it is traced."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ollamax.ml.graph import Graph
from ollamax.ml.tensor import Tensor, graph_input

Shift = Callable[[int, Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class CacheSize:
    """What a cache must hold: ``slots`` sequences of up to ``cells`` tokens, to which a step adds at most ``step``."""

    slots: int
    cells: int
    step: int

    def slot_ids(self) -> Tensor:
        """The input that names the slots of a step ``(N,)``; caches of one model share the node."""
        return graph_input("slots", ("N",), bound=self.slots)


@dataclass(frozen=True, slots=True)
class Layout:
    """How a cache stands in the graphs, and how much it keeps.

    Its states are called ``{name}.{layer}.key`` and ``{name}.{layer}.value``; the size ``dim`` is how many of its
    ``cells`` a step looks at; ``prefix`` begins the names of its inputs. A token at position ``p`` sees only those from
    ``p - window + 1`` on; with ``window`` None it sees all before it.
    """

    name: str
    dim: str
    cells: int
    prefix: str = ""
    window: int | None = None


class Cache(ABC):
    """Keys and values of the tokens so far, for each layer that has its own."""

    @property
    @abstractmethod
    def layouts(self) -> Sequence[Layout]:
        """What the host has to keep a book of, see :mod:`ollamax.kvcache.book`."""

    @abstractmethod
    def put(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Store a layer's new keys and values ``(N, T, heads, dim)``; returns those of all cells looked at."""

    @abstractmethod
    def mask(self, positions: Tensor, window: int | None = None) -> Tensor:
        """Which of those cells tokens at ``positions (N, T)`` may see, on layers with that window; None is no limit."""

    @abstractmethod
    def shift_writes(self, shift: Shift) -> list[Tensor]:
        """The writes that turn the keys of ``N`` slots, with the change of each cell's position as an input."""

    def shift_graph(self, shift: Shift) -> Graph:
        """A graph of all :meth:`shift_writes`."""
        return Graph({}, self.shift_writes(shift), name="shift")
