"""Rotary positions with exactly the definition's float32 angles, which the library would make by repeated products."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ollamax.ml import Op, Tensor
from ollamax.ml.dtype import dequantize
from ollamax.ml.reference import rope_angles, rope_frequencies
from ollamax.ml.tensor import extra_sources
from ollamax.types import DType
from ollamax_backend_ggml.builder import Builder, Turn, Value
from ollamax_backend_ggml.elementwise import Emit
from ollamax_backend_ggml.host import IndexWriter

Array = npt.NDArray[Any]

_MODES = {"interleaved": 0, "halves": 2}
"""GGML_ROPE_TYPE_NORMAL and GGML_ROPE_TYPE_NEOX."""

_MOST_POSITION = 1 << 31

_BASE, _SCALE = 1.0, 1.0
"""With these the library's angle is the position divided by what we give for each pair."""


class Angles(Turn):
    """What positions ``(N, T)`` turn each of ``dims / 2`` pairs by, for one kind of rotation."""

    def __init__(self, node: Tensor, factors: Array | None) -> None:
        self._node, self._factors = node, factors
        frequencies = rope_frequencies(node)
        self._frequencies = frequencies if factors is None else frequencies / factors

    def write_divisors(self, place: Array, positions: Array) -> None:
        """What 1 is divided by to give the angles of the only position, less whole turns."""
        angles = positions.reshape(1).astype(np.float32) * self._frequencies
        with np.errstate(divide="ignore", over="ignore"):  # 1 divided by infinity is the angle 0
            np.divide(1.0, np.remainder(angles.astype(np.float64), 2 * math.pi), out=place, casting="unsafe")

    def write_cosines(self, place: Array, positions: Array) -> None:
        """For each element what it is multiplied with."""
        self._spread(place, rope_angles(self._node, positions, self._factors)[0], 1.0)

    def write_sines(self, place: Array, positions: Array) -> None:
        """For each element what its partner is multiplied with."""
        self._spread(place, rope_angles(self._node, positions, self._factors)[1], 0.0)

    def _spread(self, place: Array, pairs: Array, rest: float) -> None:
        """A number for each pair as one for each of a head's elements; those that do not turn get ``rest``."""
        dims, half = self._node.attrs["dims"], self._node.attrs["dims"] // 2
        flat = pairs.reshape(-1, half)
        rows = place.reshape(len(flat), -1)
        rows[:, dims:] = rest
        if self._node.attrs["pairing"] == "interleaved":
            rows[:, 0:dims:2], rows[:, 1:dims:2] = flat, flat
        else:
            rows[:, :half], rows[:, half:dims] = flat, flat


def rope(b: Builder, node: Tensor) -> Value:
    """One op of the library for one token; for more, whose divisors differ, a quarter turn and two products."""
    source, positions = node.srcs[:2]
    x = b.value(source)
    n, t, heads, width = x.shape
    b.indices(positions)
    head = b.shaped(x, width, heads, n * t)
    factors = extra_sources(node).get("factors")
    if factors is not None and factors.op not in (Op.CONST, Op.WEIGHT):
        return b.result(_by_computed_factors(b, node, head, factors), node)
    angles = _angles(b, node, factors)
    ones = b.constant(("ones", n * t), lambda: np.ones(n * t), DType.I32)
    if n * t == 1:
        divisors = b.upload(DType.F32, (node.attrs["dims"] // 2,), angles.write_divisors, positions)
        return b.result(_turned(b, node, head, ones, divisors, node.attrs["magnitude"]), node)
    quarter = b.constant(("quarter", node.attrs["dims"]), lambda: np.full(node.attrs["dims"] // 2, 2 / math.pi))
    cosines = b.upload(DType.F32, (width, 1, n * t), angles.write_cosines, positions)
    sines = b.upload(DType.F32, (width, 1, n * t), angles.write_sines, positions)
    partners = b.make("mul", _turned(b, node, head, ones, quarter, 1.0), sines)
    return b.result(b.make("add", b.make("mul", head, cosines), partners), node)


def _angles(b: Builder, node: Tensor, factors: Tensor | None) -> Angles:
    attrs = node.attrs
    key = (*[attrs[name] for name in ("dims", "base", "scale", "magnitude", "pairing")], node.shape[-1], factors)
    turns = b.parts.turns
    if key not in turns:
        turns[key] = Angles(node, None if factors is None else _known(b, factors))
    found = turns[key]
    assert isinstance(found, Angles)
    return found


def _known(b: Builder, factors: Tensor) -> Array:
    if factors.op is Op.CONST:
        return b.parts.host.constant(factors)
    stored = b.parts.weights.find(factors.attrs["name"])
    return dequantize(stored.data, stored.dtype, stored.shape)


def _turned(b: Builder, node: Tensor, head: int, places: int, divisors: int, magnitude: float) -> int:
    attrs = node.attrs
    kind = (attrs["dims"], _MODES[attrs["pairing"]], 0)
    return b.make("rope_ext", head, places, divisors, *kind, _BASE, _SCALE, 0.0, magnitude, 0.0, 0.0)


def _by_computed_factors(b: Builder, node: Tensor, head: int, factors: Tensor) -> int:
    """The library divides positions by the factors, over the frequencies."""
    with np.errstate(divide="ignore"):  # a pair that stands still
        slowness = 1.0 / rope_frequencies(node).astype(np.float64)
    positions = node.srcs[1]
    count = math.prod(b.shape(positions))
    writer = IndexWriter(-_MOST_POSITION, _MOST_POSITION, "a position")
    places = b.upload(DType.I32, (count,), writer, positions)
    divisors = b.make("mul", b.value(factors).tensor, b.constant(("slowness", node), lambda: slowness))
    return _turned(b, node, head, places, divisors, node.attrs["magnitude"])


EMITTERS: dict[Op, Emit] = {Op.ROPE: rope}
