"""Turns a graph into an ONNX model, node by node; sizes stay symbols."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from ollamax.errors import BackendError
from ollamax.ml import Graph, Kind, Op, Tensor
from ollamax.ml.graph import state_name
from ollamax.ml.reference import NUMPY_KIND
from ollamax.ml.shape import Dim, Shape
from ollamax_backend_onnx.packed import Packed
from ollamax_backend_onnx.states import ONNXState, ONNXStates
from ollamax_backend_onnx.weight_files import WEIGHTS_FILE
from ollamax_backend_onnx.weights import Weights

if TYPE_CHECKING:
    import numpy.typing as npt
    from onnx import ModelProto, NodeProto, ValueInfoProto

    Array = npt.NDArray[Any]

CONTRIB = "com.microsoft"
_IR, _OPSET = 11, 23
_INLINE = 1 << 16
"""Bytes up to which a weight lies within the model, where the runtime may compute with it beforehand."""

ONNX_KIND: dict[Kind, int] = {Kind.FLOAT: TensorProto.FLOAT, Kind.INT: TensorProto.INT64, Kind.BOOL: TensorProto.BOOL}


@dataclass(frozen=True, slots=True)
class StatePort:
    """How a state is bound: ``extent`` of its cells (None for all), and which of them ``reads`` look at.

    ``apart``: an older version is read in a run that writes, so that the new one needs memory of its own.
    """

    state: ONNXState
    extent: Dim | None
    reads: tuple[Dim, ...]
    written: bool
    apart: bool

    @property
    def dims(self) -> tuple[Dim, ...]:
        """How many cells a run looks at, each of which must be there."""
        return self.reads if self.extent is None else (*self.reads, self.extent)


class Builder:
    """Makes one ONNX model of ``graph``.

    Where the ``host`` is there at each run it gives the rows of embeddings (``tables``: names of the input, the
    weight and the ids) and sizes that no input shows (``sizes``). ``large`` are weights that the model only names.
    """

    def __init__(self, graph: Graph, weights: Weights, states: ONNXStates, level: int, host: bool = True) -> None:
        self.graph, self.weights, self.level, self.host = graph, weights, level, host
        self.tables: list[tuple[str, str, str]] = []
        self.sizes: list[str] = []
        self.large: dict[str, Array] = {}
        self._placed: dict[str, TensorProto] = {}
        self.ports = {name: _port(graph, states.find(name)) for name in graph.states}
        self._nodes: list[NodeProto] = []
        self._inputs: list[ValueInfoProto] = []
        self._outputs: list[ValueInfoProto] = []
        self._small: dict[str, TensorProto] = {}
        self._values: dict[Tensor, str] = {}
        self._versions: dict[Tensor, list[str]] = {}
        self._cells: dict[Tensor, str] = {}
        self._made: dict[Any, Any] = {}
        self._reshaped: dict[str, tuple[str, int]] = {}
        for name, node in graph.weights.items():
            weights.find(name, node.shape)
        for name, node in graph.inputs.items():
            self._values[node] = self.input(name, ONNX_KIND[node.kind], node.shape)

    def input(self, name: str, kind: int, shape: Shape) -> str:
        """An input of the model; returns its name."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def output(self, name: str, kind: int, shape: Shape, value: str) -> None:
        """Make ``value`` an output of the model."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, kind, list(shape)))

    def emit(self, operation: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """The name of what an ONNX operation makes; an empty input is one left out."""
        return self.emit_several(operation, 1, *inputs, domain=domain, **attributes)[0]

    def emit_several(
        self, operation: str, outputs: int, *inputs: str, domain: str = "", **attributes: Any
    ) -> list[str]:
        """The names of its outputs."""
        names = [f"%{len(self._nodes)}.{number}" for number in range(outputs)]
        self._nodes.append(helper.make_node(operation, list(inputs), names, domain=domain, **attributes))
        return names

    def fetch(self, name: str, operation: str, *inputs: str) -> None:
        """An operation whose result is the output ``name``, which was declared before."""
        self._nodes.append(helper.make_node(operation, list(inputs), [name]))

    def declare(self, name: str, kind: int, shape: Shape) -> str:
        """An output that :meth:`fetch` makes."""
        self._outputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def constant(self, value: Any, kind: npt.DTypeLike) -> str:
        """A small constant; equal ones are one."""
        array = np.ascontiguousarray(np.asarray(value, kind)).reshape(np.shape(value))
        key = (array.dtype.str, array.shape, array.tobytes())
        return str(self.once(key, lambda: self._keep(f"const.{len(self._small)}", array)))

    def integers(self, *values: int) -> str:
        """A constant vector of int64."""
        return self.constant(list(values), np.int64)

    def parameter(self, name: str, array: Array) -> str:
        """A weight; a large one stays outside of the model."""
        if name not in self._small and name not in self.large:
            if array.nbytes <= _INLINE:
                return self._keep(name, array)
            self.large[name] = array
        return name

    def matrix(self, node: Tensor) -> str:
        """What is multiplied with as float32; a weight comes from its file, if it has one."""
        if node.op is not Op.WEIGHT:
            return self.value(node)
        array, file = self.weights.matrix(node.attrs["name"])
        name = f"weight.{node.attrs['name']}"
        if file is None or not self.host:
            return self.parameter(name, array)
        name += ".float32"  # another op may have the weight in memory
        self._placed[name] = external(name, array, file.name)
        return name

    def packed(self, name: str, packed: Packed) -> list[str]:
        """The parts of a weight in blocks; the runtime maps large ones from the file where they are kept."""
        offset, names = 0, []
        for part, array in packed.parts.items():
            names.append(f"{name}.{part}")
            if packed.file is None or part not in packed.mapped or not self.host or array.nbytes <= _INLINE:
                self.parameter(names[-1], array)
            else:
                self._placed[names[-1]] = external(names[-1], array, packed.file.name, offset)
            offset += array.nbytes
        return names

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """What ``make`` made when ``key`` was first asked for."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def put(self, node: Tensor, name: str) -> None:
        """The value of a node from now on."""
        self._values[node] = name

    def done(self, node: Tensor) -> bool:
        """Whether a node was computed together with another."""
        return node in self._values

    def value(self, node: Tensor) -> str:
        """The name of a node's value."""
        if node not in self._values:
            if node in self._cells:
                axes = [1, 0, *range(2, len(node.shape))]
                self._values[node] = self.emit("Transpose", self._cells[node], perm=axes)
            elif node.op is Op.CONST:
                self._values[node] = self.constant(node.attrs["value"], NUMPY_KIND[node.kind])
            elif node.op is Op.WEIGHT:
                name = node.attrs["name"]
                self._values[node] = self.parameter(f"weight.{name}", self.weights.whole(name))
            else:
                raise BackendError(f"backend onnx: {node!r} is used before it is computed")
        return self._values[node]

    def as_kind(self, node: Tensor, kind: Kind) -> str:
        """The value of a node as another kind, where it is not of that one."""
        if node.kind is kind:
            return self.value(node)
        if node.op is Op.CONST:
            return self.constant(node.attrs["value"], NUMPY_KIND[kind])
        return str(self.once((node, kind), lambda: self.emit("Cast", self.value(node), to=ONNX_KIND[kind])))

    def cells_first(self, node: Tensor) -> str:
        """Keys or values ``(N, S, ...)`` as ``(S, N, ...)``, which is how a state is kept."""
        if node in self._cells:
            return self._cells[node]
        axes = [1, 0, *range(2, len(node.shape))]
        return str(self.once((node, "cells"), lambda: self.emit("Transpose", self.value(node), perm=axes)))

    def put_cells(self, node: Tensor, name: str) -> None:
        """The value ``(S, N, ...)`` of a read state."""
        self._cells[node] = name

    def version(self, node: Tensor) -> list[str]:
        """The names of what is kept of a state."""
        if node.op is Op.STATE and node not in self._versions:
            port = self.ports[node.attrs["name"]]
            held = port.state.parts(port.extent)
            self._versions[node] = [self.input(name, kind, shape) for name, kind, shape in held]
        return self._versions[node]

    def put_version(self, node: Tensor, names: list[str]) -> None:
        """A new version of a state."""
        self._versions[node] = names

    def size(self, dim: Dim) -> str:
        """A size as a vector of one int64."""
        return str(self.once(("size", dim), lambda: self._size(dim)))

    def shape(self, *sizes: Dim) -> str:
        """A shape as a vector of int64."""
        if all(isinstance(size, int) for size in sizes):
            return self.integers(*[size for size in sizes if isinstance(size, int)])
        return str(self.once(("shape", sizes), lambda: self.emit("Concat", *map(self.size, sizes), axis=0)))

    def reshape(self, value: str, *sizes: Dim) -> str:
        """Another shape; at most one size may be -1, and 0 is the one at the same place of ``value``.

        Of one reshape after another only the last is computed.
        """
        leading = next((at for at, size in enumerate(sizes) if size != 0), len(sizes))
        source, same = self._reshaped.get(value, (value, 0))
        if sizes.count(0) == leading <= same:  # what is taken from ``value`` was taken from its source
            value = source
        made = self.emit("Reshape", value, self.integers(*[size for size in sizes if isinstance(size, int)]))
        self._reshaped[made] = value, leading
        return made

    def model(self) -> ModelProto:
        """The finished model; large weights are external data in ``WEIGHTS_FILE``, or in files of their own.

        ONNX wants operations in order. This runtime does not care, and packs weights in the order of the file: the last
        and largest, of the logits, comes first, before memory is full.
        """
        nodes = self._used()
        if self.host:
            nodes.reverse()
        read = {name for node in nodes for name in node.input}
        large = (external(name, array, WEIGHTS_FILE) for name, array in self.large.items())
        initializers = [*(small for name, small in self._small.items() if name in read), *large, *self._placed.values()]
        graph = helper.make_graph(nodes, self.graph.name, self._inputs, self._outputs, initializers)
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(CONTRIB, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR, producer_name="ollamax-backend-onnx")

    def _used(self) -> list[NodeProto]:
        """The operations that an output needs; the runtime would compute the others too."""
        wanted, used = {output.name for output in self._outputs}, []
        for node in reversed(self._nodes):
            if wanted.intersection(node.output):
                wanted.update(node.input)
                used.append(node)
        return used[::-1]

    def _keep(self, name: str, array: Array) -> str:
        self._small[name] = numpy_helper.from_array(array, name)
        return name

    def _size(self, dim: Dim) -> str:
        if isinstance(dim, int):
            return self.integers(dim)
        for node in self.graph.inputs.values():
            if dim in node.shape:
                at = node.shape.index(dim)
                return self.emit("Shape", self.value(node), start=at, end=at + 1)
        self.sizes.append(dim)
        return self.input(f"size.{dim}", TensorProto.INT64, (1,))


def external(name: str, array: Array, file: str, offset: int = 0) -> TensorProto:
    """A weight that lies in ``file``, which is in the directory that the session is told of."""
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    tensor = TensorProto(name=name, data_type=kind, dims=array.shape, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", file), ("offset", offset), ("length", array.nbytes)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def _port(graph: Graph, state: ONNXState) -> StatePort:
    """If all that touches a state keeps to its first ``S`` cells, no more of it is bound."""
    reads: dict[Dim, None] = {}
    extents: set[Dim | None] = set()
    apart = False
    for node in graph.nodes:
        if node.op is Op.STATE_READ and state_name(node.srcs[0]) == state.name:
            reads[node.attrs["cells"]] = None
            apart = apart or (node.srcs[0].op is Op.STATE and state.name in graph.writes)
        elif node.op is Op.STATE_WRITE and state_name(node) == state.name:
            rows = node.srcs[2]
            extents.add(rows.attrs["bound"] if rows.op is Op.INPUT else None)
    extents |= set(reads)
    (extent,) = extents if len(extents) == 1 else (None,)
    return StatePort(state, extent, tuple(reads), state.name in graph.writes, apart)


def elements(shape: Shape) -> int:
    """How many elements a shape of fixed sizes has."""
    return math.prod(size for size in shape if isinstance(size, int))
