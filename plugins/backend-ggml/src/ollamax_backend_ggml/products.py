"""Matrix products, look-ups, norms and convolution."""

from __future__ import annotations

import math

from ollamax.ml import Op, Tensor
from ollamax.ml.tensor import extra_sources
from ollamax.types import DType
from ollamax_backend_ggml.builder import Builder, Value
from ollamax_backend_ggml.elementwise import Emit
from ollamax_backend_ggml.host import IndexWriter, RowWriter
from ollamax_backend_ggml.movement import reordered
from ollamax_backend_ggml.sizes import Sizes, fast_first, merged


def linear(b: Builder, node: Tensor) -> Value:
    """All rows in one product with the weight as it is stored, or packed."""
    x, weight = b.value(node.srcs[0]), node.srcs[1]
    if weight.op is not Op.WEIGHT:
        product = b.make("mul_mat", b.shaped(b.value(weight), *b.shape(weight)[::-1]), b.flat(x))
    elif b.parts.weights.is_packed(weight.attrs["name"]):
        product = _packed_product(b, b.parts.weights.matrix(weight.attrs["name"]), x, b.shape(node)[-1])
    else:
        product = b.make("mul_mat", b.parts.weights.matrix(weight.attrs["name"]), b.flat(x))
    bias = extra_sources(node).get("bias")
    return b.result(product if bias is None else b.make("add", product, _vector(b, bias)), node)


_TILE = 4
"""Rows that the library multiplies with a packed matrix at once; it reads the matrix again for each row left over."""


def _packed_product(b: Builder, matrix: int, x: Value, width: int) -> int:
    """Filled up to whole tiles where that is faster: among few rows, a tile takes as long as two rows left over."""
    rows = math.prod(x.shape[:-1])
    over = rows % _TILE
    if over < 3 and (over == 0 or rows < 3 * _TILE):
        return b.make("mul_mat", matrix, b.flat(x))
    filled = b.once(("filled", x.tensor), lambda: b.make("pad", b.flat(x), 0, _TILE - over, 0, 0))
    return b.make("view_2d", b.make("mul_mat", matrix, filled), width, rows, 4 * width, 0)


def matmul(b: Builder, node: Tensor) -> Value:
    """The second matrix is transposed first: the library multiplies rows by rows."""
    left, right = (b.value(src) for src in node.srcs)
    rank = len(right.shape)
    turned = reordered(b, right, (*range(rank - 2), rank - 1, rank - 2))
    rows, inner, columns = left.shape[-2], left.shape[-1], right.shape[-1]
    batch = b.shape(node)[:-2]
    whole, (lefts, rights) = merged(batch, (left.shape[:-2], right.shape[:-2]), "matmul", most=2)
    first = b.shaped(left, inner, rows, *_two(lefts))
    if lefts != whole:
        first = b.make("repeat_4d", first, inner, rows, *_two(whole))
    return b.result(b.make("mul_mat", b.reshaped(turned, inner, columns, *_two(rights)), first), node)


def embedding(b: Builder, node: Tensor) -> Value:
    """Rows of a table as float32, from whatever type it is stored in."""
    table, ids = node.srcs
    b.indices(ids)
    rows, *row = b.shape(table)
    width, count = math.prod(row), math.prod(b.shape(ids))
    numbers = b.upload(DType.I32, (count,), IndexWriter(0, rows, "a row number", b.bounded(ids, rows)), ids)
    stored = table.op is Op.WEIGHT and len(row) == 1
    held = b.parts.weights.plain(table.attrs["name"]) if stored else b.shaped(b.value(table), width, rows)
    return b.result(b.make("get_rows", held, numbers), node)


def gather(b: Builder, node: Tensor) -> Value:
    """Rows of each sequence, as rows of all; the only row of a decode step is itself."""
    values, rows = node.srcs
    b.indices(rows)
    groups, size, *row = b.shape(values)
    if size == b.shape(rows)[1] == 1 and b.bounded(rows, size):
        return b.value(values)
    count = math.prod(b.shape(rows))
    writer = RowWriter(groups, size, "a row number", b.bounded(rows, size))
    numbers = b.upload(DType.I32, (count,), writer, rows)
    table = b.shaped(b.value(values), math.prod(row), groups * size)
    return b.result(b.make("get_rows", table, numbers), node)


def dequantize(b: Builder, node: Tensor) -> Value:
    """The float32 values of a weight."""
    return b.value(node.srcs[0])


def rms_norm(b: Builder, node: Tensor) -> Value:
    """The library fuses the norm with the product that follows."""
    return _norm(b, node, "rms_norm")


def layer_norm(b: Builder, node: Tensor) -> Value:
    """Norm, weight, bias."""
    return _norm(b, node, "norm")


def _norm(b: Builder, node: Tensor, operation: str) -> Value:
    scaled = b.make(operation, b.flat(b.value(node.srcs[0])), node.attrs["eps"])
    extra = extra_sources(node)
    if "weight" in extra:
        scaled = b.make("mul", scaled, _vector(b, extra["weight"]))
    if "bias" in extra:
        scaled = b.make("add", scaled, _vector(b, extra["bias"]))
    return b.result(scaled, node)


def conv2d(b: Builder, node: Tensor) -> Value:
    """Unfold the windows, then one product."""
    image, weight = b.value(node.srcs[0]), node.srcs[1]
    out, channels, kh, kw = b.shape(weight)
    n, _, rows, columns = b.shape(node)
    stride, padding = node.attrs["stride"], node.attrs["padding"]
    held = b.parts.weights.plain(weight.attrs["name"]) if weight.op is Op.WEIGHT else b.value(weight).tensor
    kernel = b.reshaped(held, kw, kh, channels, out)
    pixels = b.shaped(image, *fast_first(image.shape))
    windows = b.make("im2col", kernel, pixels, stride, stride, padding, padding, 1, 1, True, DType.F32)
    inner, count = channels * kh * kw, rows * columns
    product = b.make("mul_mat", b.reshaped(held, inner, out), b.reshaped(windows, inner, count * n))
    bias = extra_sources(node).get("bias")
    if bias is not None:
        product = b.make("add", product, _vector(b, bias))
    return b.result(reordered(b, Value(product, (n, count, out)), (0, 2, 1)), node)


def _vector(b: Builder, node: Tensor) -> int:
    value = b.value(node)
    return b.shaped(value, math.prod(value.shape))


def _two(sizes: Sizes) -> Sizes:
    """Two axes of a batch, fastest first."""
    return fast_first(sizes)[:2]


EMITTERS: dict[Op, Emit] = {
    Op.LINEAR: linear,
    Op.MATMUL: matmul,
    Op.EMBEDDING: embedding,
    Op.TAKE: embedding,
    Op.GATHER: gather,
    Op.DEQUANTIZE: dequantize,
    Op.RMS_NORM: rms_norm,
    Op.LAYER_NORM: layer_norm,
    Op.CONV2D: conv2d,
}
