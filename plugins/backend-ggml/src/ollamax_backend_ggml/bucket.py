"""One graph of the library: a core graph with known sizes, built once and run for every step of these sizes."""

from __future__ import annotations

import ctypes
import math
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ollamax.errors import BackendError
from ollamax.ml import Graph, Op, Tensor
from ollamax_backend_ggml import attention, elementwise, movement, products, rotation
from ollamax_backend_ggml.builder import Builder, GraphFullError, Parts, Value
from ollamax_backend_ggml.host import Values
from ollamax_backend_ggml.library import Library, tensor
from ollamax_backend_ggml.memory import Budget, fetch, window
from ollamax_backend_ggml.processor import Processor

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

_MODULES = (elementwise, movement, products, rotation, attention)
EMITTERS = {op: emit for module in _MODULES for op, emit in module.EMITTERS.items()}
"""How each op becomes tensors of the library."""

_TAKES_EMPTY = frozenset({Op.CONCAT, Op.STATE_WRITE})


class Scratch:
    """The memory in which graphs compute, one for all of a backend: they run one after another.

    It grows when a graph needs more. The graphs before then point to memory that is gone; ``generation`` tells. A
    graph that is split with a graphics processor is gone when the next one is placed.
    """

    def __init__(self, library: Library, processor: Processor, budget: Budget) -> None:
        self._library, self._kind, self._processor, self._budget = library, processor.buffer_type, processor, budget
        self._renew()
        self._size = 0
        self.generation = 0

    def place(self, graph: int) -> None:
        """Give every tensor of ``graph`` its place; raises BackendError when memory is short."""
        library = self._library
        if self._processor.graphics:
            self.generation += 1
            if not self._processor.graphics.place(graph):
                raise BackendError(
                    f"backend ggml: memory for one step cannot be allocated: {library.drain_log()}; "
                    "take a smaller num_gpu, num_batch or num_ctx"
                )
            return
        size = self._measure(graph)
        if size > self._size:
            self.close()
            self._renew()
            self._size, self.generation = 0, self.generation + 1
            self._budget.take({"one step": size}, instead=True)
        # Planned anew each time: a graph with as many nodes would else get the places of another.
        planned = library.gallocr_reserve(self._allocator, graph)
        if not (planned and library.gallocr_alloc_graph(self._allocator, graph)):
            raise BackendError(
                f"backend ggml: {size:,} bytes for one step cannot be allocated: {library.drain_log()}; "
                "take a smaller num_batch or num_ctx"
            )
        self._size = max(size, self._size)

    def close(self) -> None:
        """Free the memory."""
        self._free()

    def _renew(self) -> None:
        self._allocator: int = self._library.gallocr_new(self._kind)
        self._free = weakref.finalize(self, self._library.gallocr_free, self._allocator)

    def _measure(self, graph: int) -> int:
        trial = self._library.gallocr_new(self._kind)
        size = ctypes.c_size_t()
        self._library.gallocr_reserve_n_size(trial, graph, None, None, ctypes.addressof(size))
        self._library.gallocr_free(trial)
        return size.value


class Bucket:
    """A built graph: where its inputs go, and where its outputs come from."""

    def __init__(
        self, parts: Parts, processor: Processor, scratch: Scratch, dims: Mapping[str, int], values: Values
    ) -> None:
        self._library, self._processor, self._graph = parts.library, processor, parts.graph
        builder = _build(parts, dims, values)
        self._nodes = builder.graph
        self._free = weakref.finalize(self, parts.library.free, builder.context)
        try:
            self._outputs = [(name, node, builder.on_host(node)) for name, node in parts.graph.outputs.items()]
            results = {node: builder.value(node) for _, node, known in self._outputs if not known}
            for result in results.values():
                _keep(builder, result)
            self._check(processor)
            scratch.place(self._nodes)
        except BaseException:
            self.close()
            raise
        self.generation = scratch.generation
        self._uploads = [
            (upload.write, window(parts.library, upload.tensor, upload.kind, upload.elements), upload.sources)
            for upload in builder.uploads.values()
            if tensor(parts.library, upload.tensor).data
        ]
        self._readers = {node: _reader(parts.library, result) for node, result in results.items()}

    def run(self, values: Values) -> dict[str, Array]:
        """Put the values of the host in, compute, and take the outputs out."""
        done = False
        while not done:  # what was put in may be overwritten when a computation ends early
            for write, place, sources in self._uploads:
                write(place, *[values[source] for source in sources])
            done = self._processor.compute(self._nodes)
        return {
            name: np.array(values[node], np.float32) if known else self._readers[node]()
            for name, node, known in self._outputs
        }

    def close(self) -> None:
        """Free the descriptions of the tensors."""
        self._free()

    def _check(self, processor: Processor) -> None:
        """Ask the library about every op; one that it refuses would end the process."""
        library = self._library
        for at in range(library.graph_n_nodes(self._nodes)):
            node = library.graph_node(self._nodes, at)
            if not library.backend_dev_supports_op(processor.device, node):
                name = library.op_name(tensor(library, node).op).decode()
                raise BackendError(f"backend ggml cannot run {self._graph.name}: the library refuses an op {name}")


_ROOM = 6
"""Tensors of the library for a node of the core's graph, for a start."""


def _build(parts: Parts, dims: Mapping[str, int], values: Values) -> Builder:
    room = 256 + _ROOM * len(parts.graph.nodes)
    while True:
        builder = Builder(parts, dims, values, room)
        try:
            for node in parts.graph.nodes:
                if node.srcs and not builder.on_host(node) and not _stays_in_place(parts.graph, node):
                    builder.put(node, _emit(builder, node))
        except GraphFullError:
            parts.library.free(builder.context)
            room *= 2
        except BaseException:
            parts.library.free(builder.context)
            raise
        else:
            return builder


def _stays_in_place(graph: Graph, node: Tensor) -> bool:
    """Whether ``node`` reads a state for attention alone, which does without a copy."""
    return (
        node.op is Op.STATE_READ
        and node not in graph.outputs.values()
        and all(user.op is Op.ATTENTION and node in user.srcs[1:3] for user in graph.users[node])
    )


def _emit(builder: Builder, node: Tensor) -> Value:
    shape = builder.shape(node)
    if 0 in shape:
        return Value(0, shape)
    if node.op not in _TAKES_EMPTY and any(0 in builder.shape(src) for src in node.srcs):
        raise BackendError(f"backend ggml: {node!r} takes no empty tensor")
    emit: Callable[[Builder, Tensor], Value] = EMITTERS[node.op]
    return emit(builder, node)


def _keep(builder: Builder, result: Value) -> None:
    """Keep an output's memory until the end of a run, also where it is another tensor in other sizes."""
    if result.tensor:
        builder.expand(result.tensor)
        root = result.tensor
        while root:
            builder.library.set_output(root)
            root = tensor(builder.library, root).view_src
            root = ctypes.cast(root, ctypes.c_void_p).value or 0


def _reader(library: Library, result: Value) -> Callable[[], Array]:
    """Takes a copy of a result."""
    if not result.tensor:
        return lambda: np.zeros(result.shape, np.float32)
    count = math.prod(result.shape)
    buffer = tensor(library, result.tensor).buffer
    if library.backend_buffer_is_host(ctypes.cast(buffer, ctypes.c_void_p).value):
        return window(library, result.tensor, np.float32, count).reshape(result.shape).copy
    return lambda: fetch(library, result.tensor, 0, 4 * count).view(np.float32).reshape(result.shape)
