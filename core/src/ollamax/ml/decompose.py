"""Each compound op in terms of primitives (or of simpler compounds), for backends that do not fuse it."""

from __future__ import annotations

import math
from collections.abc import Callable

from ollamax.ml.ops import Op
from ollamax.ml.tensor import Kind, Tensor, apply, cast, concat, extra_sources, where

Decomposition = Callable[[Tensor], Tensor]

MASKED = -1e30
"""Stands for minus infinity where a difference of two of them must stay a number."""


def linear(node: Tensor) -> Tensor:
    """``x W^T + b``."""
    x, weight = node.srcs[:2]
    matrix = apply(Op.DEQUANTIZE, weight).transpose()
    row = len(x.shape) == 1
    product = (x.reshape(1, *x.shape) if row else x) @ matrix
    if row:
        product = product.reshape(*node.shape)
    bias = extra_sources(node).get("bias")
    return product if bias is None else product + bias


def embedding(node: Tensor) -> Tensor:
    """Rows of the table."""
    table, ids = node.srcs
    return apply(Op.TAKE, apply(Op.DEQUANTIZE, table), ids)


def rms_norm(node: Tensor) -> Tensor:
    """``x / sqrt(mean(x^2) + eps) * weight`` (Zhang and Sennrich 2019)."""
    x = node.srcs[0]
    scaled = x * apply(Op.RECIPROCAL, apply(Op.SQRT, (x * x).mean() + node.attrs["eps"]))
    weight = extra_sources(node).get("weight")
    return scaled if weight is None else scaled * weight


def layer_norm(node: Tensor) -> Tensor:
    """``(x - mean) / sqrt(variance + eps) * weight + bias`` (Ba et al. 2016)."""
    x = node.srcs[0]
    centred = x - x.mean()
    scaled = centred * apply(Op.RECIPROCAL, apply(Op.SQRT, (centred * centred).mean() + node.attrs["eps"]))
    extra = extra_sources(node)
    if "weight" in extra:
        scaled = scaled * extra["weight"]
    return scaled + extra["bias"] if "bias" in extra else scaled


def softmax(node: Tensor) -> Tensor:
    """``exp(x - max) / sum``, over the last axis."""
    x = node.srcs[0]
    powers = apply(Op.EXP, x - x.max())
    return powers / powers.sum()


def sigmoid(node: Tensor) -> Tensor:
    """``1 / (1 + exp(-x))``, by tanh, which cannot overflow."""
    return 0.5 * apply(Op.TANH, 0.5 * node.srcs[0]) + 0.5


def relu(node: Tensor) -> Tensor:
    """``max(x, 0)``."""
    return apply(Op.MAXIMUM, node.srcs[0], 0.0)


def silu(node: Tensor) -> Tensor:
    """``x sigmoid(x)``."""
    return node.srcs[0] * apply(Op.SIGMOID, node.srcs[0])


def silu_mul(node: Tensor) -> Tensor:
    """``silu(gate) * up``, the heart of SwiGLU (Shazeer 2020)."""
    gate, up = node.srcs
    return apply(Op.SILU, gate) * up


def gelu(node: Tensor) -> Tensor:
    """The exact form by erf, or the tanh approximation (Hendrycks and Gimpel 2016)."""
    x = node.srcs[0]
    if node.attrs["approximate"]:
        inner = math.sqrt(2.0 / math.pi) * (x + 0.044715 * (x * x * x))
        return 0.5 * x * (1.0 + apply(Op.TANH, inner))
    return 0.5 * x * (1.0 + apply(Op.ERF, x * math.sqrt(0.5)))


def rope(node: Tensor) -> Tensor:
    """Rotate pairs of elements by an angle that grows with the position (Su et al. 2021).

    Angles are float32, as in the definition: half a unit in the last place of ``position`` is lost.
    """
    from ollamax.ml.reference import rope_frequencies

    x, positions = node.srcs[:2]
    attrs, dims = node.attrs, node.attrs["dims"]
    n, t, heads, width = x.shape
    half = dims // 2
    table = Tensor(Op.CONST, (), (half,), Kind.FLOAT, {"value": rope_frequencies(node)})
    factors = extra_sources(node).get("factors")
    step = table if factors is None else table / factors
    angles = cast(positions, Kind.FLOAT).reshape(n, t, 1, 1) * step
    cos, sin = apply(Op.COS, angles) * attrs["magnitude"], apply(Op.SIN, angles) * attrs["magnitude"]
    rotated = x.slice(-1, 0, dims)
    if attrs["pairing"] == "interleaved":
        pairs = rotated.reshape(n, t, heads, half, 2)
        a = pairs.slice(-1, 0, 1).reshape(n, t, heads, half)
        b = pairs.slice(-1, 1, 2).reshape(n, t, heads, half)
        turned = [part.reshape(n, t, heads, half, 1) for part in (a * cos - b * sin, a * sin + b * cos)]
        result = concat(turned).reshape(n, t, heads, dims)
    else:
        a, b = rotated.slice(-1, 0, half), rotated.slice(-1, half, dims)
        result = concat([a * cos - b * sin, a * sin + b * cos])
    rest = width - dims if isinstance(width, int) else 0
    return concat([result, x.slice(-1, dims, dims + rest)]) if rest else result


def mask(node: Tensor) -> Tensor:
    """Query may see key: the cell is in use, not in the future, and inside the window."""
    query, key = node.srcs
    n, t = query.shape
    s = key.shape[1]
    queries, keys = query.reshape(n, t, 1), key.reshape(n, 1, s)
    visible = apply(Op.AND, apply(Op.LE, 0, keys), apply(Op.LE, keys, queries))
    window = node.attrs["window"]
    return visible if window is None else apply(Op.AND, visible, apply(Op.LT, queries - keys, window))


def attention(node: Tensor) -> Tensor:
    """Softmax of scaled products over the visible keys; heads share keys in groups; no visible key gives 0."""
    q, k, v = node.srcs[:3]
    n, t, heads, _width = q.shape
    groups = k.shape[2]
    assert isinstance(heads, int)
    assert isinstance(groups, int)
    extra = extra_sources(node)
    spread = heads // groups
    queries = q.transpose(0, 2, 1, 3)
    keys = k.repeat(2, spread).transpose(0, 2, 3, 1)
    values = v.repeat(2, spread).transpose(0, 2, 1, 3)
    scores = (queries @ keys) * node.attrs["scale"]
    if node.attrs["softcap"] is not None:
        cap = node.attrs["softcap"]
        scores = apply(Op.TANH, scores / cap) * cap
    visible = None
    if "mask" in extra:
        visible = extra["mask"].reshape(n, 1, t, k.shape[1])
        scores = where(visible, scores, MASKED)
    top = scores.max()
    sinks = extra.get("sinks")
    if sinks is not None:
        column = sinks.reshape(1, heads, 1, 1)
        top = apply(Op.MAXIMUM, top, column)
    powers = apply(Op.EXP, scores - top)
    if visible is not None:
        powers = where(visible, powers, 0.0)
    total = powers.sum()
    if sinks is not None:
        total = total + apply(Op.EXP, column - top)
    shares = powers / apply(Op.MAXIMUM, total, 1e-30)
    return (shares @ values).transpose(0, 2, 1, 3)


def conv2d(node: Tensor) -> Tensor:
    """Unfold the windows, then one product."""
    x, kernel = node.srcs[:2]
    n, out, rows, columns = node.shape
    _, channels, kh, kw = kernel.shape
    assert isinstance(channels, int)
    assert isinstance(kh, int)
    assert isinstance(kw, int)
    stride, padding = node.attrs["stride"], node.attrs["padding"]
    unfolded = apply(Op.IM2COL, x, kernel=(kh, kw), stride=stride, padding=padding)
    matrix = apply(Op.DEQUANTIZE, kernel).reshape(out, channels * kh * kw).transpose()
    product = unfolded @ matrix
    bias = extra_sources(node).get("bias")
    if bias is not None:
        product = product + bias
    return product.transpose(0, 2, 1).reshape(n, out, rows, columns)


DECOMPOSITIONS: dict[Op, Decomposition] = {
    Op.LINEAR: linear,
    Op.EMBEDDING: embedding,
    Op.RMS_NORM: rms_norm,
    Op.LAYER_NORM: layer_norm,
    Op.SOFTMAX: softmax,
    Op.SIGMOID: sigmoid,
    Op.RELU: relu,
    Op.SILU: silu,
    Op.SILU_MUL: silu_mul,
    Op.GELU: gelu,
    Op.ROPE: rope,
    Op.MASK: mask,
    Op.ATTENTION: attention,
    Op.CONV2D: conv2d,
}
