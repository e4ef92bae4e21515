"""Matrix products, look-ups, norms and convolution."""

from __future__ import annotations

import numpy as np

from ollamax.ml import Kind, Op, Tensor
from ollamax.ml.tensor import extra_sources
from ollamax_backend_onnx.builder import CONTRIB, ONNX_KIND, Builder
from ollamax_backend_onnx.elementwise import Emit
from ollamax_backend_onnx.packed import Packed


def linear(b: Builder, node: Tensor) -> str:
    """A weight in blocks stays so; any other one is multiplied as float32, as it lies."""
    x, weight = node.srcs[:2]
    bias = extra_sources(node).get("bias")
    rows = b.value(x) if len(x.shape) > 1 else b.emit("Unsqueeze", b.value(x), b.integers(0))
    packed = b.weights.packed(weight.attrs["name"]) if weight.op is Op.WEIGHT else None
    if packed is None:
        product = b.emit("FusedMatMul", rows, b.matrix(weight), domain=CONTRIB, transB=1)
    else:
        name = f"weight.{weight.attrs['name']}"
        out, inner = weight.shape
        matrix, scales, *offsets = b.packed(name, packed)
        sizes = {"K": inner, "N": out, "bits": packed.bits, "block_size": packed.block}
        product = b.emit("MatMulNBits", rows, matrix, scales, domain=CONTRIB, accuracy_level=b.level, **sizes)
        if offsets:
            sums = b.once((x, packed.block), lambda: _block_sums(b, rows, max(2, len(x.shape)), packed))
            product = b.emit("Add", product, b.emit("FusedMatMul", sums, *offsets, domain=CONTRIB, transB=1))
    if bias is not None:
        product = b.emit("Add", product, b.value(bias))
    return product if len(x.shape) > 1 else b.emit("Squeeze", product, b.integers(0))


def _block_sums(b: Builder, rows: str, axes: int, packed: Packed) -> str:
    """``(..., in)`` to ``(..., in / block)``: what an offset that a block's elements share is multiplied with."""
    blocks = b.reshape(rows, *([0] * (axes - 1)), packed.blocks.shape[1], packed.block)
    return b.emit("ReduceSum", blocks, b.integers(-1), keepdims=0)


def embedding(b: Builder, node: Tensor) -> str:
    """Rows of a stored table come from the host, which reads no more of it than these."""
    table, ids = node.srcs
    if not b.host and table.op is Op.WEIGHT and (packed := b.weights.packed(table.attrs["name"])) is not None:
        return _block_rows(b, node, packed)
    if not (b.host and table.op is Op.WEIGHT and ids.op is Op.INPUT):
        return b.emit("Gather", b.value(table), b.value(ids))
    name = f"rows.{len(b.tables)}"
    b.tables.append((name, table.attrs["name"], ids.attrs["name"]))
    return b.input(name, ONNX_KIND[Kind.FLOAT], node.shape)


def _block_rows(b: Builder, node: Tensor, packed: Packed) -> str:
    """Rows of the blocks that a tied output is multiplied with, so that a file holds the table once."""
    table, ids = node.srcs
    places, (blocks, scales, *offsets) = b.value(ids), b.packed(f"weight.{table.attrs['name']}", packed)
    rows = b.emit("Gather", blocks, places)
    if packed.bits == 4:
        pair = [b.emit("BitwiseAnd", rows, b.constant(15, np.uint8))]
        pair.append(b.emit("BitShift", rows, b.constant(4, np.uint8), direction="RIGHT"))
        wide = b.emit("Concat", *(b.emit("Unsqueeze", half, b.integers(-1)) for half in pair), axis=-1)
        rows = b.reshape(wide, *([0] * len(ids.shape)), packed.blocks.shape[1], packed.block)
    middle = b.constant(1 << (packed.bits - 1), np.float32)
    values = b.emit("Sub", b.emit("Cast", rows, to=ONNX_KIND[Kind.FLOAT]), middle)
    values = b.emit("Mul", values, b.emit("Unsqueeze", b.emit("Gather", scales, places), b.integers(-1)))
    for part in offsets:
        values = b.emit("Add", values, b.emit("Unsqueeze", b.emit("Gather", part, places), b.integers(-1)))
    return b.reshape(values, *([0] * len(ids.shape)), *table.shape[1:])


def gather(b: Builder, node: Tensor) -> str:
    """Rows of each sequence."""
    values, rows = node.srcs
    places = b.emit("Unsqueeze", b.value(rows), b.integers(-1))
    return b.emit("GatherND", b.value(values), places, batch_dims=1)


def rms_norm(b: Builder, node: Tensor) -> str:
    """The mean in float32."""
    return b.emit("RMSNormalization", b.value(node.srcs[0]), _scale(b, node), epsilon=node.attrs["eps"], axis=-1)


def layer_norm(b: Builder, node: Tensor) -> str:
    """Norm, weight, bias."""
    bias = extra_sources(node).get("bias")
    further = [] if bias is None else [b.value(bias)]
    x, eps = b.value(node.srcs[0]), node.attrs["eps"]
    return b.emit("LayerNormalization", x, _scale(b, node), *further, epsilon=eps, axis=-1)


def _scale(b: Builder, node: Tensor) -> str:
    weight = extra_sources(node).get("weight")
    return b.constant(np.ones(node.shape[-1:]), np.float32) if weight is None else b.value(weight)


def add(b: Builder, node: Tensor) -> str:
    """A sum that is normalised next, as the residual stream is, comes with its norm."""
    norm = next((user for user in b.graph.users[node] if _follows(node, user)), None)
    left, right = (b.as_kind(src, node.kind) for src in node.srcs)
    if norm is None:
        return b.emit("Add", left, right)
    normed, _, _, total = b.emit_several(
        "SkipSimplifiedLayerNormalization", 4, left, right, _scale(b, norm), domain=CONTRIB, epsilon=norm.attrs["eps"]
    )
    b.put(norm, normed)
    return total


def _follows(total: Tensor, user: Tensor) -> bool:
    whole = all(src.shape == total.shape for src in total.srcs) and len(total.shape) == 3
    weighted = user.op is Op.RMS_NORM and "weight" in extra_sources(user)
    return whole and weighted and extra_sources(user)["weight"].op is Op.WEIGHT


def conv2d(b: Builder, node: Tensor) -> str:
    """Cross-correlation."""
    padding = node.attrs["padding"]
    stride = [node.attrs["stride"]] * 2
    return b.emit("Conv", *map(b.value, node.srcs), strides=stride, pads=[padding] * 4)


EMITTERS: dict[Op, Emit] = {
    Op.ADD: add,
    Op.LINEAR: linear,
    Op.MATMUL: lambda b, node: b.emit("MatMul", *map(b.value, node.srcs)),
    Op.EMBEDDING: embedding,
    Op.TAKE: lambda b, node: b.emit("Gather", *map(b.value, node.srcs)),
    Op.GATHER: gather,
    Op.DEQUANTIZE: lambda b, node: b.value(node.srcs[0]),
    Op.RMS_NORM: rms_norm,
    Op.LAYER_NORM: layer_norm,
    Op.CONV2D: conv2d,
}
