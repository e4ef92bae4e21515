"""Rotary positions and attention."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import numpy as np

from ollamax.ml import Op, Tensor
from ollamax.ml.decompose import MASKED
from ollamax.ml.reference import rope_frequencies
from ollamax.ml.tensor import extra_sources
from ollamax_backend_metal.run import Kernel, Run


def _rope(r: Run, node: Tensor) -> Any:
    """MLX's own where its frequencies are the definition's, else pairs turned by angles that all layers share."""
    x, dims = r.value(node.srcs[0]), node.attrs["dims"]
    interleaved, periods = node.attrs["pairing"] == "interleaved", _periods(r, node)
    if periods is not None:  # each token is a batch of its own, since places are given by batch
        tokens, places = x.reshape(-1, x.shape[2], 1, x.shape[3]), r.value(node.srcs[1]).reshape(-1)
        turned = mx.fast.rope(tokens, dims, traditional=interleaved, base=None, scale=1.0, offset=places, freqs=periods)
        return turned.reshape(x.shape)
    cos, sin = _angles(r, node)
    pairs = x[..., :dims].reshape(*x.shape[:-1], *((-1, 2) if interleaved else (2, -1)))
    axis = -1 if interleaved else -2
    a, b = mx.take(pairs, 0, axis=axis), mx.take(pairs, 1, axis=axis)
    turned = mx.stack([a * cos - b * sin, a * sin + b * cos], axis=axis).reshape(*x.shape[:-1], dims)
    return mx.concatenate([turned, x[..., dims:]], axis=-1)


def _periods(r: Run, node: Tensor) -> Any:
    """What ``mx.fast.rope`` takes reciprocals of; None where these are not exactly the frequencies, or do not suffice.

    From a base it would make frequencies whose rounding shows some thousand positions into the context.
    """
    attrs = node.attrs
    if extra_sources(node) or attrs["magnitude"] != 1:
        return None

    def make() -> Any:
        frequencies = rope_frequencies(node)
        with np.errstate(divide="ignore"):  # a pair that stands still has no period
            periods = np.float32(1) / frequencies
            return mx.array(periods) if np.array_equal(np.float32(1) / periods, frequencies) else None

    return r.once(("periods", attrs["base"], attrs["dims"], attrs["scale"]), make)


def _angles(r: Run, node: Tensor) -> tuple[Any, Any]:
    """Cosines and sines ``(N, T, 1, dims / 2)``."""
    attrs, positions, factors = node.attrs, node.srcs[1], extra_sources(node).get("factors")

    def make() -> tuple[Any, Any]:
        step = mx.array(rope_frequencies(node))
        if factors is not None:
            step = step / r.value(factors)
        angles = r.value(positions).astype(mx.float32)[..., None, None] * step
        return mx.cos(angles) * attrs["magnitude"], mx.sin(angles) * attrs["magnitude"]

    settings = (attrs[name] for name in ("base", "dims", "scale", "magnitude"))
    found: tuple[Any, Any] = r.once((positions, factors, *settings), make)
    return found


def _attention(r: Run, node: Tensor) -> Any:
    """MLX's own but for a softcap, which that lacks; a query that sees nothing yields 0."""
    q, k, v = (r.value(src).transpose(0, 2, 1, 3) for src in node.srcs[:3])
    given = {name: r.value(src) for name, src in extra_sources(node).items()}
    mask, sinks = given.get("mask"), given.get("sinks")
    visible = None if mask is None else mask[:, None]
    if node.attrs["softcap"] is None:
        scale = float(node.attrs["scale"])
        result = mx.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask=visible, sinks=sinks)
    else:
        result = _capped(node, q, k, v, visible, sinks)
    if mask is not None:
        sees = r.once((extra_sources(node)["mask"], "sees"), lambda: mask.any(axis=-1)[:, None, :, None])
        result = mx.where(sees, result, 0.0)
    return result.transpose(0, 2, 1, 3)


def _capped(node: Tensor, q: Any, k: Any, v: Any, visible: Any, sinks: Any) -> Any:
    """Products, softcap, softmax, products; the query heads of a key head are an axis of their own."""
    n, heads, t, width = q.shape
    groups, cap = k.shape[1], node.attrs["softcap"]
    rows = q.reshape(n, groups, heads // groups, t, width) * node.attrs["scale"]
    scores = rows @ k[:, :, None].swapaxes(-1, -2)
    scores = mx.tanh(scores / cap) * cap
    if visible is not None:
        scores = mx.where(visible[:, :, None], scores, MASKED)
    if sinks is not None:  # it takes part in the softmax and gets no share
        column = sinks.reshape(1, groups, -1, 1, 1)
        scores = mx.concatenate([scores, mx.broadcast_to(column, (*scores.shape[:-1], 1))], axis=-1)
    shares = mx.softmax(scores, axis=-1)[..., : k.shape[2]]
    return (shares @ v[:, :, None]).reshape(n, heads, t, v.shape[-1])


KERNELS: dict[Op, Kernel] = {Op.ROPE: _rope, Op.ATTENTION: _attention}
