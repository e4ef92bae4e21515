"""One run of a graph: the value of each node, collected by MLX and not yet computed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import mlx.core as mx
import numpy as np

from ollamax.ml import Kind, Op, Tensor
from ollamax.ml.reference import NUMPY_KIND
from ollamax.ml.shape import concrete
from ollamax_backend_metal.weights import Weights

MLX_KIND = {Kind.FLOAT: mx.float32, Kind.INT: mx.int64, Kind.BOOL: mx.bool_}

Kernel = Callable[["Run", Tensor], Any]


def array(value: Any, kind: Kind) -> Any:
    """What the host holds, as MLX's array of that kind."""
    return mx.array(np.asarray(value, NUMPY_KIND[kind]), MLX_KIND[kind])


class Run:
    """What kernels ask for: values of nodes, sizes, and weights; the value of a state is a version of it."""

    def __init__(self, weights: Weights, dims: Mapping[str, int], values: dict[Tensor, Any]) -> None:
        self.weights, self.dims, self.values = weights, dims, values
        self._made: dict[Hashable, Any] = {}

    def value(self, node: Tensor) -> Any:
        """The value of a source; a weight or a constant becomes one when it is first asked for."""
        if node not in self.values:
            whole = node.op is Op.WEIGHT
            made = self.weights.whole(node.attrs["name"]) if whole else array(node.attrs["value"], node.kind)
            self.values[node] = made
        return self.values[node]

    def sizes(self, node: Tensor) -> tuple[int, ...]:
        """The shape of ``node`` in this run."""
        return concrete(node.shape, self.dims)

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What several nodes share, made by the first of them."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]
