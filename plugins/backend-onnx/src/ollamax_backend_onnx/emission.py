"""From core's graph to the runtime's: each node becomes operations, in the order of the graph."""

from __future__ import annotations

from onnx import TensorProto

from ollamax.ml import Graph, Kind, Op
from ollamax_backend_onnx import attention, elementwise, products
from ollamax_backend_onnx.builder import Builder
from ollamax_backend_onnx.elementwise import Emit
from ollamax_backend_onnx.states import ONNXStates
from ollamax_backend_onnx.weights import Weights

EMITTERS: dict[Op, Emit] = {**elementwise.EMITTERS, **products.EMITTERS, **attention.EMITTERS}


def emit(graph: Graph, weights: Weights, states: ONNXStates, level: int, host: bool = True) -> Builder:
    """A builder that holds the whole graph, see :class:`Builder`."""
    builder = Builder(graph, weights, states, level, host)
    for node in graph.nodes:
        if node.op is Op.STATE_READ:
            attention.state_read(builder, node)
        elif node.op is Op.STATE_WRITE:
            attention.state_write(builder, node)
        elif node.srcs and not builder.done(node):
            builder.put(node, EMITTERS[node.op](builder, node))
    for name, node in graph.outputs.items():
        builder.output(name, TensorProto.FLOAT, node.shape, builder.as_kind(node, Kind.FLOAT))
    return builder
