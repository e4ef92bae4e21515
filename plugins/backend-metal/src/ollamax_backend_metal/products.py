"""Products and norms."""

from __future__ import annotations

from functools import partial
from typing import Any

import mlx.core as mx

from ollamax.ml import Graph, Op, Tensor
from ollamax.ml.tensor import extra_sources
from ollamax_backend_metal.blocks import GROUP, Packed
from ollamax_backend_metal.run import Kernel, Run
from ollamax_backend_metal.weights import Weights


def convert(weights: Weights, graph: Graph) -> None:
    """Make the forms of weights that a walk will ask for."""
    for node, users in graph.users.items():
        if node.op is not Op.WEIGHT:
            continue
        name = node.attrs["name"]
        weights.find(name)
        for user in users:
            if user.op is Op.LINEAR and user.srcs.index(node) == 1 and user.srcs.count(node) == 1:
                weights.matrix(name)
            elif not from_host(user):
                weights.whole(name)


def _linear(r: Run, node: Tensor) -> Any:
    x, weight = r.value(node.srcs[0]), node.srcs[1]
    matrix = r.weights.matrix(weight.attrs["name"]) if weight.op is Op.WEIGHT else r.value(weight)
    rows = x.reshape(-1, x.shape[-1])
    product = _in_blocks(rows, matrix) if isinstance(matrix, Packed) else rows @ matrix.T
    bias = extra_sources(node).get("bias")
    if bias is not None:
        product = product + r.value(bias)
    return product.reshape(r.sizes(node))


def _in_blocks(rows: Any, matrix: Packed) -> Any:
    """One product, or the sum of two, each with the inputs that its scales belong to."""
    if not rows.shape[0]:  # on a processor MLX divides by it
        return mx.zeros((0, matrix.numbers.shape[0]))
    multiply = partial(mx.quantized_matmul, transpose=True, group_size=GROUP, bits=matrix.bits)
    if len(matrix.scalings) == 1:
        return multiply(rows, matrix.numbers, *matrix.scalings[0])
    first = mx.arange(rows.shape[-1]) % GROUP < GROUP // 2
    halves = mx.where(first, rows, 0.0), mx.where(first, 0.0, rows)
    pairs = zip(halves, matrix.scalings, strict=True)
    left, right = (multiply(half, matrix.numbers, *scaling) for half, scaling in pairs)
    return left + right


def from_host(node: Tensor) -> bool:
    """Whether a node's value is rows of the file, of whatever type: the table takes no memory of the device."""
    return node.op is Op.EMBEDDING and node.srcs[0].op is Op.WEIGHT and node.srcs[1].op is Op.INPUT


def _optional(r: Run, node: Tensor, name: str) -> Any:
    given = extra_sources(node).get(name)
    return None if given is None else r.value(given)


def _rms_norm(r: Run, node: Tensor) -> Any:
    return mx.fast.rms_norm(r.value(node.srcs[0]), _optional(r, node, "weight"), node.attrs["eps"])


def _layer_norm(r: Run, node: Tensor) -> Any:
    extra = _optional(r, node, "weight"), _optional(r, node, "bias")
    return mx.fast.layer_norm(r.value(node.srcs[0]), *extra, node.attrs["eps"])


def _conv2d(r: Run, node: Tensor) -> Any:
    """MLX has channels last."""
    x, kernel = (r.value(src).transpose(0, 2, 3, 1) for src in node.srcs[:2])
    result = mx.conv2d(x, kernel, stride=node.attrs["stride"], padding=node.attrs["padding"])
    bias = _optional(r, node, "bias")
    return (result if bias is None else result + bias).transpose(0, 3, 1, 2)


KERNELS: dict[Op, Kernel] = {
    Op.MATMUL: lambda r, node: r.value(node.srcs[0]) @ r.value(node.srcs[1]),
    Op.DEQUANTIZE: lambda r, node: r.value(node.srcs[0]),
    Op.LINEAR: _linear,
    Op.RMS_NORM: _rms_norm,
    Op.LAYER_NORM: _layer_norm,
    Op.CONV2D: _conv2d,
}
