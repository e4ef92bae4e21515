"""Turns a graph with known sizes into the library's graph, node by node."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ollamax.backend import States
from ollamax.errors import BackendError
from ollamax.ml import Graph, Op, Tensor
from ollamax.ml.shape import concrete
from ollamax.types import DType
from ollamax_backend_ggml.host import Host, Values, Write, write_floats
from ollamax_backend_ggml.library import Library, tensor
from ollamax_backend_ggml.memory import Residents, aligned
from ollamax_backend_ggml.sizes import Sizes, fast_first
from ollamax_backend_ggml.states import GGMLState
from ollamax_backend_ggml.weights import Weights

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]


class Value(NamedTuple):
    """A contiguous float32 tensor of the library (0 if it holds no element) and its row-major shape."""

    tensor: int
    shape: Sizes


class Upload(NamedTuple):
    """A tensor that is filled before each run: ``write`` takes its memory and the values of ``sources``."""

    tensor: int
    kind: type[np.generic]
    elements: int
    write: Write
    sources: tuple[Tensor, ...]


_NUMPY: dict[DType, type[np.generic]] = {
    DType.F32: np.float32,
    DType.F16: np.uint16,
    DType.I32: np.int32,
    DType.I64: np.int64,
}


class Turn:
    """A rotation that several graphs of a program use."""


class GraphFullError(Exception):
    """A graph needs more tensors than room was made for."""


@dataclass(frozen=True)
class Parts:
    """What all graphs of one program share."""

    library: Library
    graph: Graph
    host: Host
    weights: Weights
    states: States[GGMLState]
    residents: Residents
    constants: dict[Any, int]
    turns: dict[Any, Turn]


class Builder:
    """Makes one graph of the library with room for ``room`` tensors; sizes and slots are those of ``dims`` and values.

    Tensors become nodes in the order of the core's graph, so that states are read after they were written.
    """

    def __init__(self, parts: Parts, dims: Mapping[str, int], values: Values, room: int) -> None:
        self.parts, self.dims, self.values = parts, dims, values
        self.library = library = parts.library
        self._room = room
        size = room * library.tensor_overhead() + library.graph_overhead_custom(room, False)
        self.context: int = library.init(library.struct("init_params")(mem_size=size, mem_buffer=None, no_alloc=True))
        if not self.context:
            raise BackendError(f"backend ggml: {size:,} bytes for a graph cannot be allocated")
        self.graph: int = library.new_graph_custom(self.context, room, False)
        self.uploads: dict[Any, Upload] = {}
        self._values: dict[Tensor, Value] = {}
        self._made: dict[Any, int] = {}

    def make(self, operation: str, *arguments: Any) -> int:
        """The tensor that a function of the library makes; raises GraphFullError."""
        self._room -= 1
        if self._room < 0:
            raise GraphFullError
        return int(getattr(self.library, operation)(self.context, *arguments))

    def expand(self, result: int) -> None:
        """Compute ``result`` next."""
        self.library.build_forward_expand(self.graph, result)

    def shape(self, node: Tensor) -> Sizes:
        """The shape of a node in this graph."""
        return concrete(node.shape, self.dims)

    def put(self, node: Tensor, value: Value) -> None:
        """The value of a node from now on; it is computed next."""
        self._values[node] = value
        if value.tensor:
            self.expand(value.tensor)

    def value(self, node: Tensor) -> Value:
        """The float32 value of a node: booleans are 0 and 1."""
        if node not in self._values:
            self._values[node] = self._leaf(node)
        return self._values[node]

    def shaped(self, value: Value, *sizes: int) -> int:
        """The same elements with other sizes, fastest first."""
        return self.reshaped(value.tensor, *sizes)

    def reshaped(self, source: int, *sizes: int) -> int:
        """Another shape of any contiguous tensor; none is made where it has this shape already.

        The library fuses ops that follow each other, and a view between them would keep it from that.
        """
        wanted = (*sizes, 1, 1, 1)[:4]
        return source if self._sizes(source) == wanted else self.make("reshape_4d", source, *wanted)

    def flat(self, value: Value) -> int:
        """``(last axis, all others)``."""
        width = value.shape[-1] if value.shape else 1
        return self.shaped(value, width, math.prod(value.shape) // width)

    def result(self, tensor: int, node: Tensor) -> Value:
        """A contiguous tensor as the value of ``node``, whatever its sizes are."""
        return Value(tensor, self.shape(node))

    def number(self, node: Tensor) -> float | None:
        """The value of a constant with one element, else None."""
        if node.op is not Op.CONST or math.prod(self.shape(node)) != 1:
            return None
        return float(self.parts.host.constant(node).reshape(()))

    def constant(self, key: Any, make: Callable[[], Array], dtype: DType = DType.F32) -> int:
        """A tensor that all graphs of the backend share under ``key``, with the sizes of ``make()``."""
        constants = self.parts.constants
        if key not in constants:
            array = np.ascontiguousarray(make(), _NUMPY[dtype])
            data = aligned(array.reshape(-1).view(np.uint8))
            constants[key] = self.parts.residents.add(data, dtype, fast_first(array.shape))
        return constants[key]

    def upload(self, dtype: DType, sizes: Sequence[int], write: Write, *sources: Tensor) -> int:
        """A tensor that is filled before each run with what the host makes of ``sources``.

        Uploads with equal types, sizes, sources and writers are one.
        """
        key = (dtype, tuple(sizes), write, sources)
        if key not in self.uploads:
            made = self.make("new_tensor_4d", dtype, *(*sizes, 1, 1, 1)[:4])
            self.library.set_input(made)
            self.uploads[key] = Upload(made, _NUMPY[dtype], math.prod(sizes), write, sources)
        return self.uploads[key].tensor

    def once(self, key: Any, make: Callable[[], int]) -> int:
        """The tensor that ``make`` made when this graph first asked for ``key``."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def on_host(self, node: Tensor) -> bool:
        """Whether the host knows the value of ``node`` before a run."""
        return node in self.parts.host.nodes

    def indices(self, node: Tensor) -> None:
        """Raise BackendError unless the host knows these numbers of rows: the library does not check them."""
        if not self.on_host(node):
            raise BackendError(f"backend ggml takes no indices that are computed of weights, as {node!r}")

    def bounded(self, node: Tensor, limit: int) -> bool:
        """Whether core checks before each run that ``node`` is from 0 to ``limit`` (exclusive)."""
        bound = node.attrs["bound"] if node.op is Op.INPUT else None
        return bound is not None and concrete((bound,), self.dims)[0] <= limit

    def state(self, node: Tensor) -> GGMLState:
        """The state that a version belongs to."""
        while node.op is not Op.STATE:
            node = node.srcs[0]
        return self.parts.states.find(node.attrs["name"])

    def _sizes(self, address: int) -> Sizes:
        return tuple(tensor(self.library, address).ne[:4])

    def _leaf(self, node: Tensor) -> Value:
        shape = self.shape(node)
        if 0 in shape:
            return Value(0, shape)
        if node.op is Op.CONST:
            return Value(self.constant(node, lambda: self.parts.host.constant(node)), shape)
        if node.op is Op.WEIGHT:
            plain = self.parts.weights.plain(node.attrs["name"])
            stored = self.parts.weights.find(node.attrs["name"]).dtype
            return Value(plain if stored is DType.F32 else self.make("cast", plain, DType.F32), shape)
        if not self.on_host(node):
            raise BackendError(f"backend ggml: {node!r} is used before it is computed")
        return Value(self.upload(DType.F32, fast_first(shape), write_floats, node), shape)
