"""Ops that move elements, and look-ups."""

from __future__ import annotations

from typing import Any

import mlx.core as mx

from ollamax.ml import Op, Tensor
from ollamax.ml.shape_rules import window_count
from ollamax_backend_metal.run import Kernel, Run


def _slice(r: Run, node: Tensor) -> Any:
    x = r.value(node.srcs[0])
    index = [slice(None)] * x.ndim
    index[node.attrs["axis"]] = slice(node.attrs["start"], node.attrs["stop"])
    return x[tuple(index)]


def _concat(r: Run, node: Tensor) -> Any:
    return mx.concatenate([r.value(src) for src in node.srcs], axis=node.attrs["axis"])


def _pad(r: Run, node: Tensor) -> Any:
    x = r.value(node.srcs[0])
    widths = [(0, 0)] * x.ndim
    widths[node.attrs["axis"]] = (node.attrs["before"], node.attrs["after"])
    return mx.pad(x, widths)


def _im2col(r: Run, node: Tensor) -> Any:
    """``(N, C, H, W)`` to ``(N, windows, C * kh * kw)``: one strided slice for each place of a window."""
    x = r.value(node.srcs[0])
    (kh, kw), stride, padding = node.attrs["kernel"], node.attrs["stride"], node.attrs["padding"]
    n, channels, height, width = x.shape
    rows, columns = window_count(height, kh, stride, padding), window_count(width, kw, stride, padding)
    padded = mx.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    places = [
        padded[:, :, i : i + stride * (rows - 1) + 1 : stride, j : j + stride * (columns - 1) + 1 : stride]
        for i in range(kh)
        for j in range(kw)
    ]
    stacked = mx.stack(places, axis=2)
    return stacked.transpose(0, 3, 4, 1, 2).reshape(n, rows * columns, channels * kh * kw)


def _take(r: Run, node: Tensor) -> Any:
    return mx.take(r.value(node.srcs[0]), r.value(node.srcs[1]), axis=0)


def _gather(r: Run, node: Tensor) -> Any:
    values, rows = (r.value(src) for src in node.srcs)
    return values[mx.arange(values.shape[0])[:, None], rows]


KERNELS: dict[Op, Kernel] = {
    Op.RESHAPE: lambda r, node: mx.reshape(r.value(node.srcs[0]), r.sizes(node)),
    Op.TRANSPOSE: lambda r, node: mx.transpose(r.value(node.srcs[0]), node.attrs["axes"]),
    Op.SLICE: _slice,
    Op.CONCAT: _concat,
    Op.PAD: _pad,
    Op.REPEAT: lambda r, node: mx.repeat(r.value(node.srcs[0]), node.attrs["times"], axis=node.attrs["axis"]),
    Op.IM2COL: _im2col,
    Op.TAKE: _take,
    Op.EMBEDDING: _take,
    Op.GATHER: _gather,
}
