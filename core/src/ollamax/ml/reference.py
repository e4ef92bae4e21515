"""The definition of every op in plain NumPy, slow on purpose.

Backends are tested against these functions, and decompositions too. An implementation takes the node (for its
attributes), the values of its sources and the sizes of the symbols; floats are float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ollamax.ml.graph import Graph
from ollamax.ml.ops import Op
from ollamax.ml.shape import concrete
from ollamax.ml.shape_rules import window_count
from ollamax.ml.tensor import Kind, Tensor

Array = npt.NDArray[Any]
Dims = Mapping[str, int]
Implementation = Callable[..., Array]

NUMPY_KIND: dict[Kind, Any] = {Kind.FLOAT: np.float32, Kind.INT: np.int64, Kind.BOOL: np.bool_}

_erf = np.vectorize(math.erf, otypes=[np.float32])


def _extra(node: Tensor, values: tuple[Any, ...]) -> dict[str, Any]:
    names = node.attrs["optional"]
    return dict(zip(names, values[len(values) - len(names) :], strict=True))


def linear(node: Tensor, _: Dims, x: Array, weight: Array, *extra: Array) -> Array:
    """``x W^T + b``: (..., in) by (out, in) gives (..., out)."""
    return np.asarray(x @ weight.T + _extra(node, extra).get("bias", np.float32(0)))


def rms_norm(node: Tensor, _: Dims, x: Array, *extra: Array) -> Array:
    """``x / sqrt(mean(x^2) + eps) * weight``; the mean in float64."""
    mean = np.mean(np.square(x, dtype=np.float64), axis=-1, keepdims=True)
    return np.asarray(
        (x / np.sqrt(mean + node.attrs["eps"])).astype(np.float32) * _extra(node, extra).get("weight", np.float32(1))
    )


def layer_norm(node: Tensor, _: Dims, x: Array, *extra: Array) -> Array:
    """``(x - mean) / sqrt(variance + eps) * weight + bias``; the statistics in float64."""
    wide = x.astype(np.float64)
    centred = wide - wide.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + node.attrs["eps"])
    given = _extra(node, extra)
    return np.asarray(scaled.astype(np.float32) * given.get("weight", np.float32(1)) + given.get("bias", np.float32(0)))


def softmax(_: Tensor, __: Dims, x: Array) -> Array:
    """``exp(x - max) / sum`` over the last axis."""
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def sigmoid(_: Tensor, __: Dims, x: Array) -> Array:
    """``1 / (1 + exp(-x))``."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def gelu(node: Tensor, _: Dims, x: Array) -> Array:
    """``x Phi(x)``, or its tanh approximation."""
    if node.attrs["approximate"]:
        return np.asarray(0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))))
    return np.asarray(0.5 * x * (1.0 + _erf(x * math.sqrt(0.5))))


def rope_frequencies(node: Tensor) -> Array:
    """Radians a position ``(dims / 2,)``, float32, rounded in the order in which transformers rounds them."""
    half = node.attrs["dims"] // 2
    with np.errstate(over="ignore"):  # beyond float32, a pair stands still
        slowness = (float(node.attrs["base"]) ** (np.arange(half) / half)).astype(np.float32)
        return np.asarray(np.float32(1) / slowness / np.float32(1 / node.attrs["scale"]))


def rope_angles(node: Tensor, positions: Array, factors: Array | None) -> tuple[Array, Array]:
    """Cosines and sines ``(N, T, 1, dims / 2)`` of float32 angles.

    Exact angles would be no better: models are trained and served with float32 ones (transformers' ``inv_freq``), and
    1,000 positions along the rounding of the angle outweighs all other rounding in the logits.
    """
    frequencies = rope_frequencies(node)
    if factors is not None:
        frequencies = frequencies / factors
    angles = positions[..., None, None].astype(np.float32) * frequencies
    magnitude = np.float32(node.attrs["magnitude"])
    return np.cos(angles) * magnitude, np.sin(angles) * magnitude


def rope(node: Tensor, _: Dims, x: Array, positions: Array, *extra: Array) -> Array:
    """Pair ``i`` turns by ``position * scale * base^(-2 i / dims) / factor[i]``.

    A pair is two neighbours (``interleaved``) or elements ``i`` and ``i + dims / 2`` (``halves``).
    """
    dims = node.attrs["dims"]
    cos, sin = rope_angles(node, positions, _extra(node, extra).get("factors"))
    result = x.copy()
    interleaved = node.attrs["pairing"] == "interleaved"
    first = slice(0, dims, 2) if interleaved else slice(0, dims // 2)
    second = slice(1, dims, 2) if interleaved else slice(dims // 2, dims)
    a, b = x[..., first], x[..., second]
    result[..., first], result[..., second] = a * cos - b * sin, a * sin + b * cos
    return result


def mask(node: Tensor, _: Dims, query: Array, key: Array) -> Array:
    """``(N, T, S)``: the cell is in use (position >= 0), not in the future, and inside the window."""
    queries, keys = query[:, :, None], key[:, None, :]
    visible = (keys >= 0) & (keys <= queries)
    window = node.attrs["window"]
    return visible if window is None else visible & (queries - keys < window)


def attention(node: Tensor, _: Dims, q: Array, k: Array, v: Array, *extra: Array) -> Array:
    """Query head ``h`` looks at key head ``h // (heads / groups)``; a row that sees nothing yields 0."""
    given = _extra(node, extra)
    spread = q.shape[2] // k.shape[2]
    keys, values = np.repeat(k, spread, axis=2), np.repeat(v, spread, axis=2)
    scores = np.einsum("nthd,nshd->nhts", q, keys) * node.attrs["scale"]
    if node.attrs["softcap"] is not None:
        scores = np.tanh(scores / node.attrs["softcap"]) * node.attrs["softcap"]
    if "mask" in given:
        scores = np.where(given["mask"][:, None], scores, -np.inf)
    if "sinks" in given:
        column = np.broadcast_to(given["sinks"][None, :, None, None], (*scores.shape[:-1], 1))
        scores = np.concatenate([scores, column], axis=-1)
    top = scores.max(axis=-1, keepdims=True)
    powers = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = powers.sum(axis=-1, keepdims=True)
    shares = powers / np.where(total == 0, 1, total)
    return np.asarray(np.einsum("nhts,nshd->nthd", shares[..., : k.shape[1]], values))


def im2col(node: Tensor, _: Dims, x: Array) -> Array:
    """Every window as a row: ``(N, C, H, W)`` to ``(N, windows, C * kh * kw)``."""
    (kh, kw), stride, padding = node.attrs["kernel"], node.attrs["stride"], node.attrs["padding"]
    n, _channels, height, width = x.shape
    rows, columns = window_count(height, kh, stride, padding), window_count(width, kw, stride, padding)
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    patches = [
        padded[:, :, r * stride : r * stride + kh, c * stride : c * stride + kw].reshape(n, -1)
        for r in range(rows)
        for c in range(columns)
    ]
    return np.stack(patches, axis=1)


def conv2d(node: Tensor, dims: Dims, x: Array, weight: Array, *extra: Array) -> Array:
    """Cross-correlation: ``(N, C, H, W)`` with ``(O, C, kh, kw)`` gives ``(N, O, H', W')``."""
    stride, padding = node.attrs["stride"], node.attrs["padding"]
    _, out, rows, columns = concrete(node.shape, dims)
    kh, kw = weight.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    result = np.empty((x.shape[0], out, rows, columns), np.float32)
    for r in range(rows):
        for c in range(columns):
            patch = padded[:, :, r * stride : r * stride + kh, c * stride : c * stride + kw]
            result[:, :, r, c] = np.einsum("nchw,ochw->no", patch, weight)
    bias = _extra(node, extra).get("bias")
    return result if bias is None else result + bias[:, None, None]


def pad(node: Tensor, _: Dims, x: Array) -> Array:
    """Zeros before and after along one axis."""
    widths = [(0, 0)] * x.ndim
    widths[node.attrs["axis"]] = (node.attrs["before"], node.attrs["after"])
    return np.pad(x, widths)


def state_read(node: Tensor, dims: Dims, state: Array, slots: Array) -> Array:
    """The first cells of each named slot."""
    (cells,) = concrete((node.attrs["cells"],), dims)
    return np.asarray(state[slots, :cells])


def state_write(_: Tensor, __: Dims, state: Array, slots: Array, rows: Array, values: Array) -> Array:
    """A copy with rows replaced; the caller keeps the last version."""
    result = state.copy()
    result[slots[:, None], rows] = values
    return result


def _slice(node: Tensor, _: Dims, x: Array) -> Array:
    index = [slice(None)] * x.ndim
    index[node.attrs["axis"]] = slice(node.attrs["start"], node.attrs["stop"])
    return np.asarray(x[tuple(index)])


def _plain(meaning: str, function: Callable[..., Any]) -> Implementation:
    """A function of the values alone; ``meaning`` is its docstring."""

    def run(_: Tensor, __: Dims, *values: Array) -> Array:
        return np.asarray(function(*values))

    run.__doc__ = meaning
    return run


def _reduce(meaning: str, function: Callable[..., Any]) -> Implementation:
    """A reduction; ``meaning`` is its docstring."""

    def run(node: Tensor, _: Dims, x: Array) -> Array:
        return np.asarray(function(x, axis=node.attrs["axis"], keepdims=True))

    run.__doc__ = meaning
    return run


IMPLEMENTATIONS: dict[Op, Implementation] = {
    Op.NEG: _plain("``-x``.", np.negative),
    Op.EXP: _plain("``e^x``.", np.exp),
    Op.LOG: _plain("The natural logarithm.", np.log),
    Op.SQRT: _plain("The square root.", np.sqrt),
    Op.RECIPROCAL: _plain("``1 / x``.", np.reciprocal),
    Op.SIN: _plain("The sine of radians.", np.sin),
    Op.COS: _plain("The cosine of radians.", np.cos),
    Op.TANH: _plain("The hyperbolic tangent.", np.tanh),
    Op.ERF: _plain("The error function.", _erf),
    Op.ABS: _plain("``|x|``.", np.abs),
    Op.NOT: _plain("The opposite of a bool.", np.logical_not),
    Op.CAST: lambda node, _, x: x.astype(NUMPY_KIND[node.attrs["kind"]]),
    Op.ADD: _plain("``a + b``.", np.add),
    Op.SUB: _plain("``a - b``.", np.subtract),
    Op.MUL: _plain("``a b``.", np.multiply),
    Op.DIV: _plain("``a / b``.", np.divide),
    Op.MAXIMUM: _plain("The larger of the two.", np.maximum),
    Op.MINIMUM: _plain("The smaller of the two.", np.minimum),
    Op.POW: _plain("``a^b``.", np.power),
    Op.EQ: _plain("``a == b``.", np.equal),
    Op.LT: _plain("``a < b``.", np.less),
    Op.LE: _plain("``a <= b``.", np.less_equal),
    Op.AND: _plain("Both, of bools.", np.logical_and),
    Op.OR: _plain("One at least, of bools.", np.logical_or),
    Op.WHERE: _plain("``yes`` where ``condition`` holds, else ``no``.", np.where),
    Op.RESHAPE: lambda node, dims, x: x.reshape(concrete(node.shape, dims)),
    Op.TRANSPOSE: lambda node, _, x: x.transpose(node.attrs["axes"]),
    Op.SLICE: _slice,
    Op.CONCAT: lambda node, _, *xs: np.concatenate(xs, axis=node.attrs["axis"]),
    Op.PAD: pad,
    Op.REPEAT: lambda node, _, x: np.repeat(x, node.attrs["times"], axis=node.attrs["axis"]),
    Op.IM2COL: im2col,
    Op.SUM: _reduce("The sum.", np.sum),
    Op.MEAN: _reduce("The mean.", np.mean),
    Op.MAX: _reduce("The largest element.", np.max),
    Op.MATMUL: _plain("The matrix product.", np.matmul),
    Op.TAKE: _plain("Rows of a table.", lambda table, ids: table[ids]),
    Op.GATHER: _plain("Chosen rows of each sequence.", lambda x, rows: x[np.arange(x.shape[0])[:, None], rows]),
    Op.DEQUANTIZE: _plain("A stored weight as its float values.", lambda x: x),
    Op.STATE_READ: state_read,
    Op.STATE_WRITE: state_write,
    Op.LINEAR: linear,
    Op.EMBEDDING: _plain("Rows of a table, which may be quantised.", lambda table, ids: table[ids]),
    Op.RMS_NORM: rms_norm,
    Op.LAYER_NORM: layer_norm,
    Op.SOFTMAX: softmax,
    Op.SIGMOID: sigmoid,
    Op.RELU: _plain("``max(x, 0)``.", lambda x: np.maximum(x, 0)),
    Op.SILU: _plain("``x / (1 + exp(-x))``.", lambda x: x * 0.5 * (1.0 + np.tanh(0.5 * x))),
    Op.GELU: gelu,
    Op.SILU_MUL: _plain(
        "``silu(a) b``, the product of SwiGLU.", lambda gate, up: gate * 0.5 * (1.0 + np.tanh(0.5 * gate)) * up
    ),
    Op.ROPE: rope,
    Op.MASK: mask,
    Op.ATTENTION: attention,
    Op.CONV2D: conv2d,
}


def evaluate(
    graph: Graph,
    inputs: Mapping[str, Array],
    dims: Dims,
    weights: Mapping[str, Array],
    states: dict[str, Array] | None = None,
) -> dict[str, Array]:
    """Compute a graph's outputs, and put the new versions of its states into ``states``.

    ``weights`` are float32 arrays; a state that ``states`` lacks starts as zeros.
    """
    held = states if states is not None else {}
    values: dict[Tensor, Array] = {}
    for node in graph.nodes:
        if node.op is Op.INPUT:
            values[node] = np.asarray(inputs[node.attrs["name"]], NUMPY_KIND[node.kind])
        elif node.op is Op.WEIGHT:
            values[node] = np.asarray(weights[node.attrs["name"]], np.float32)
        elif node.op is Op.CONST:
            values[node] = np.asarray(node.attrs["value"], NUMPY_KIND[node.kind])
        elif node.op is Op.STATE:
            values[node] = held.setdefault(node.attrs["name"], np.zeros(concrete(node.shape, dims), np.float32))
        else:
            result = IMPLEMENTATIONS[node.op](node, dims, *(values[src] for src in node.srcs))
            values[node] = np.asarray(result, NUMPY_KIND[node.kind])
    for name, node in graph.writes.items():
        held[name] = values[node]
    return {name: values[node] for name, node in graph.outputs.items()}
