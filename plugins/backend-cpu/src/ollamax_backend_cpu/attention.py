"""Attention in NumPy: heads that share keys become rows of one product."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ollamax.ml import Tensor

Array = npt.NDArray[Any]

_SCORES_LIMIT = 64 * 2**20
"""Bytes of scores at once; longer steps go query by query block."""


class MaskForm:
    """What all layers of a step want to know of a mask: nothing to hide, or what to add to the scores."""

    def __init__(self) -> None:
        self.hides = False
        self.blind: Array | None = None
        self.added: Array = np.zeros((), np.float32)

    def take(self, visible: Array) -> None:
        """Look at a mask ``(N, T, S)``."""
        self.hides = not bool(visible.all())
        self.blind = None
        if self.hides:
            self.added = np.where(visible, np.float32(0), np.float32(-np.inf))
            blind: Array = np.logical_not(visible.any(axis=-1))
            self.blind = blind if bool(blind.any()) else None


class Attention:
    """The kernel of one attention node."""

    def __init__(self, node: Tensor, form: MaskForm | None) -> None:
        self._scale = np.float32(node.attrs["scale"])
        self._softcap = node.attrs["softcap"]
        self._optional: tuple[str, ...] = node.attrs["optional"]
        self._form = form

    def run(self, _: Mapping[str, int], q: Array, k: Array, v: Array, *extra: Array) -> Array:
        """``q (N, T, heads, width)`` over ``k`` and ``v (N, S, groups, width)``."""
        given = dict(zip(self._optional, extra, strict=True))
        form = self._mask_form(given)
        n, t, heads, _width = q.shape
        result = np.empty((n, t, heads, v.shape[-1]), np.float32)
        block = max(1, _SCORES_LIMIT // max(1, 4 * n * heads * k.shape[1]))
        for start in range(0, t, block):
            part = slice(start, start + block)
            result[:, part] = self._block(q[:, part], k, v, form, part, given.get("sinks"))
        if form is not None and form.blind is not None:
            result[form.blind] = 0
        return result

    def _mask_form(self, given: Mapping[str, Array]) -> MaskForm | None:
        form = self._form
        if form is None and "mask" in given:
            form = MaskForm()
            form.take(given["mask"])
        return form if form is not None and form.hides else None

    def _block(self, q: Array, k: Array, v: Array, form: MaskForm | None, part: slice, sinks: Array | None) -> Array:
        n, t, heads, width = q.shape
        groups = k.shape[2]
        spread = heads // groups
        # (N, groups, spread * T, width): the query heads of a group are rows of one product.
        rows = (q * self._scale).reshape(n, t, groups, spread, width).transpose(0, 2, 3, 1, 4)
        scores = rows.reshape(n, groups, spread * t, width) @ k.transpose(0, 2, 3, 1)
        scores = scores.reshape(n, groups, spread, t, -1)
        if self._softcap is not None:
            np.tanh(scores / np.float32(self._softcap), out=scores)
            scores *= np.float32(self._softcap)
        if form is not None:
            scores += form.added[:, None, None, part]
        total = _exponents(scores, sinks)
        mixed = scores.reshape(n, groups, spread * t, -1) @ v.transpose(0, 2, 1, 3)
        mixed = mixed.reshape(n, groups, spread, t, -1)
        mixed /= total
        return mixed.transpose(0, 3, 1, 2, 4).reshape(n, t, heads, -1)


def _exponents(scores: Array, sinks: Array | None) -> Array:
    """Turn scores into unnormalised shares in place; returns their sums ``(N, groups, spread, T, 1)``, never 0."""
    top: Array = scores.max(axis=-1, keepdims=True)
    if sinks is not None:
        column = sinks.reshape(1, *scores.shape[1:3], 1, 1)
        np.maximum(top, column, out=top)
    # A row that sees nothing has no maximum; its exponents become 0.
    top[np.isneginf(top)] = 0
    scores -= top
    np.exp(scores, out=scores)
    total: Array = np.asarray(scores.sum(axis=-1, keepdims=True))
    if sinks is not None:
        np.add(total, np.exp(column - top), out=total)
    total[total == 0] = 1
    return total
