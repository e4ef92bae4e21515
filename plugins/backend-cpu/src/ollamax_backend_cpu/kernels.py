"""Fast kernels for the hot ops. Each maker looks at a node once and returns the function that runs at every step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ollamax.backend import States
from ollamax.ml import Graph, Op, Tensor
from ollamax.ml.graph import state_name
from ollamax.ml.reference import IMPLEMENTATIONS, rope_angles
from ollamax.ml.tensor import extra_sources
from ollamax_backend_cpu.attention import Attention, MaskForm
from ollamax_backend_cpu.gelu import gelu as exact_gelu
from ollamax_backend_cpu.states import CPUState
from ollamax_backend_cpu.weights import Weights

Array = npt.NDArray[Any]
Dims = Mapping[str, int]
Kernel = Callable[..., Array]


NOTHING = np.zeros((), np.float32)
"""Stands for a state among the values: kernels reach states by name."""


class Builder:
    """What the makers of one program share: weights, states, and values that several nodes use in a step."""

    def __init__(self, graph: Graph, weights: Weights, states: States[CPUState]) -> None:
        self.graph, self.weights, self.states = graph, weights, states
        self.turns: dict[tuple[Any, ...], Turn] = {}
        self.masks: dict[Tensor, MaskForm] = {}

    def kernel(self, node: Tensor) -> Kernel:
        """The function for ``node``: called with the sizes and the values of the sources."""
        if node.op in MAKERS:
            return MAKERS[node.op](self, node)
        implementation = IMPLEMENTATIONS[node.op]
        return lambda dims, *values: implementation(node, dims, *values)

    def is_table(self, weight: Tensor) -> bool:
        """Whether a weight is only ever looked up by rows, so that it can stay quantised."""
        return all(user.op is Op.EMBEDDING for user in self.graph.users[weight])


class Turn:
    """Cosines and sines of a step; all layers turn their queries and keys by the same ones."""

    def __init__(self, node: Tensor) -> None:
        self._node = node
        self._positions: Array | None = None
        self._angles: tuple[Array, Array] | None = None

    def angles(self, positions: Array, factors: Array | None) -> tuple[Array, Array]:
        """Computed when ``positions`` is another array than at the last call: every step brings new ones."""
        if self._angles is None or positions is not self._positions:
            self._positions, self._angles = positions, rope_angles(self._node, positions, factors)
        return self._angles


def linear(builder: Builder, node: Tensor) -> Kernel:
    """One BLAS product over all rows."""
    del builder, node

    def run(_: Dims, x: Array, matrix: Array, bias: Array | None = None) -> Array:
        flat = x.reshape(-1, x.shape[-1]) @ matrix.T
        if bias is not None:
            flat += bias
        return flat.reshape(*x.shape[:-1], matrix.shape[0])

    return run


def embedding(builder: Builder, node: Tensor) -> Kernel:
    """Rows of the table; a table that nothing else needs is dequantised row by row."""
    table = node.srcs[0]
    if table.op is not Op.WEIGHT:
        return lambda _, rows, ids: rows[ids]
    name = table.attrs["name"]
    return lambda _, __, ids: builder.weights.rows(name, ids)


def rms_norm(builder: Builder, node: Tensor) -> Kernel:
    """The mean by a dot product, which keeps float32's error small at any width."""
    eps = node.attrs["eps"]

    def run(_: Dims, x: Array, weight: Array | None = None) -> Array:
        mean = np.einsum("...d,...d->...", x, x)[..., None] / np.float32(x.shape[-1])
        scaled: Array = x * (1.0 / np.sqrt(mean + np.float32(eps)))
        if weight is not None:
            scaled *= weight
        return scaled

    del builder
    return run


def silu_mul(builder: Builder, node: Tensor) -> Kernel:
    """``gate / (1 + exp(-gate)) * up`` by tanh, which cannot overflow."""
    del builder, node

    def run(_: Dims, gate: Array, up: Array) -> Array:
        half = gate * np.float32(0.5)
        result = np.tanh(half)
        result += np.float32(1.0)
        result *= half
        return result * up

    return run


def gelu(builder: Builder, node: Tensor) -> Kernel:
    """The exact one from a table; the approximation as it is defined."""
    del builder
    if node.attrs["approximate"]:
        implementation = IMPLEMENTATIONS[Op.GELU]
        return lambda dims, x: implementation(node, dims, x)
    return lambda _, x: exact_gelu(x)


def rope(builder: Builder, node: Tensor) -> Kernel:
    """Complex numbers turn interleaved pairs; halves are turned as two views."""
    attrs, dims = node.attrs, node.attrs["dims"]
    factors = extra_sources(node).get("factors")
    key = (node.srcs[1], factors, dims, attrs["base"], attrs["scale"], attrs["magnitude"])
    turn = builder.turns.setdefault(key, Turn(node))
    whole, half = dims == node.shape[-1], dims // 2

    def interleaved(_: Dims, x: Array, positions: Array, factor: Array | None = None) -> Array:
        cos, sin = turn.angles(positions, factor)
        result = np.ascontiguousarray(x).copy()
        pairs = (result if whole else np.ascontiguousarray(result[..., :dims])).view(np.complex64)
        pairs *= cos + 1j * sin
        if not whole:
            result[..., :dims] = pairs.view(np.float32)
        return result

    def halves(_: Dims, x: Array, positions: Array, factor: Array | None = None) -> Array:
        cos, sin = turn.angles(positions, factor)
        result = x.copy()
        a, b = x[..., :half], x[..., half:dims]
        result[..., :half] = a * cos - b * sin
        result[..., half:dims] = a * sin + b * cos
        return result

    return interleaved if attrs["pairing"] == "interleaved" else halves


def mask(builder: Builder, node: Tensor) -> Kernel:
    """The reference's mask, and on the side what attention wants to know of it."""
    form = builder.masks.setdefault(node, MaskForm())
    implementation = IMPLEMENTATIONS[Op.MASK]

    def run(dims: Dims, query: Array, key: Array) -> Array:
        visible = implementation(node, dims, query, key)
        form.take(visible)
        return visible

    return run


def attention(builder: Builder, node: Tensor) -> Kernel:
    """Two batched products per group of heads; see :mod:`ollamax_backend_cpu.attention`."""
    source = extra_sources(node).get("mask")
    form = builder.masks.get(source) if source is not None else None
    return Attention(node, form).run


def state_read(builder: Builder, node: Tensor) -> Kernel:
    """A view of the state, written by the time this runs."""
    name, target = state_name(node.srcs[0]), node.srcs[0]
    while target.op is not Op.STATE:
        target = target.srcs[0]
    state = builder.states.find(name)
    cells = node.attrs["cells"]
    return lambda dims, _, slots: state.read(slots, cells if isinstance(cells, int) else dims[cells])


def state_write(builder: Builder, node: Tensor) -> Kernel:
    """In place: older versions are dead."""
    state = builder.states.find(state_name(node))

    def run(_: Dims, __: Array, slots: Array, rows: Array, values: Array) -> Array:
        state.write(slots, rows, values)
        return NOTHING

    return run


MAKERS: dict[Op, Callable[[Builder, Tensor], Kernel]] = {
    Op.LINEAR: linear,
    Op.EMBEDDING: embedding,
    Op.RMS_NORM: rms_norm,
    Op.SILU_MUL: silu_mul,
    Op.GELU: gelu,
    Op.ROPE: rope,
    Op.MASK: mask,
    Op.ATTENTION: attention,
    Op.STATE_READ: state_read,
    Op.STATE_WRITE: state_write,
}
