"""The graph: tensors, ops, shapes, lowering, and the reference that defines every op."""

from ollamax.ml.graph import Graph
from ollamax.ml.ops import COMPOUNDS, LEAVES, PRIMITIVES, Op
from ollamax.ml.tensor import Kind, Tensor

__all__ = ["COMPOUNDS", "LEAVES", "PRIMITIVES", "Graph", "Kind", "Op", "Tensor"]
