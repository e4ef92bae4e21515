"""Ops that treat elements one by one, and reductions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx

from ollamax.ml import Op, Tensor
from ollamax_backend_metal.run import MLX_KIND, Kernel, Run


def _plain(function: Callable[..., Any]) -> Kernel:
    def run(r: Run, node: Tensor) -> Any:
        return function(*(r.value(src) for src in node.srcs))

    return run


def _reduce(function: Callable[..., Any]) -> Kernel:
    def run(r: Run, node: Tensor) -> Any:
        return function(r.value(node.srcs[0]), axis=node.attrs["axis"], keepdims=True)

    return run


def _cast(r: Run, node: Tensor) -> Any:
    return r.value(node.srcs[0]).astype(MLX_KIND[node.kind])


KERNELS: dict[Op, Kernel] = {
    Op.NEG: _plain(mx.negative),
    Op.EXP: _plain(mx.exp),
    Op.LOG: _plain(mx.log),
    Op.SQRT: _plain(mx.sqrt),
    Op.RECIPROCAL: _plain(mx.reciprocal),
    Op.SIN: _plain(mx.sin),
    Op.COS: _plain(mx.cos),
    Op.TANH: _plain(mx.tanh),
    Op.ERF: _plain(mx.erf),
    Op.ABS: _plain(mx.abs),
    Op.NOT: _plain(mx.logical_not),
    Op.CAST: _cast,
    Op.ADD: _plain(mx.add),
    Op.SUB: _plain(mx.subtract),
    Op.MUL: _plain(mx.multiply),
    Op.DIV: _plain(mx.divide),
    Op.MAXIMUM: _plain(mx.maximum),
    Op.MINIMUM: _plain(mx.minimum),
    Op.POW: _plain(mx.power),
    Op.EQ: _plain(mx.equal),
    Op.LT: _plain(mx.less),
    Op.LE: _plain(mx.less_equal),
    Op.AND: _plain(mx.logical_and),
    Op.OR: _plain(mx.logical_or),
    Op.WHERE: _plain(mx.where),
    Op.SUM: _reduce(mx.sum),
    Op.MEAN: _reduce(mx.mean),
    Op.MAX: _reduce(mx.max),
    Op.SOFTMAX: _plain(lambda x: mx.softmax(x, axis=-1)),
    Op.SIGMOID: _plain(mx.sigmoid),
}
