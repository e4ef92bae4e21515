"""Rotary position embedding (Su et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ollamax.ml.ops import Op
from ollamax.ml.tensor import Tensor, optional

Pairing = Literal["interleaved", "halves"]


@dataclass(frozen=True, slots=True)
class Rope:
    """How positions turn a head.

    Pair ``i`` of the first ``dims`` elements turns by ``position * scale * base ** (-2 i / dims) / factors[i]``.
    ``pairing`` says what a pair is: neighbours, or elements half of ``dims`` apart; the file does not tell, the
    architecture does. ``scale`` is 1 / factor of linear scaling; ``magnitude`` multiplies the result.
    """

    base: float
    dims: int
    pairing: Pairing
    scale: float = 1.0
    magnitude: float = 1.0

    def __call__(self, x: Tensor, positions: Tensor, factors: Tensor | None = None) -> Tensor:
        """Turn ``x (N, T, heads, width)`` to ``positions (N, T)``; ``factors (dims / 2,)``."""
        return optional(
            Op.ROPE,
            x,
            positions,
            extra={"factors": factors},
            base=self.base,
            dims=self.dims,
            pairing=self.pairing,
            scale=self.scale,
            magnitude=self.magnitude,
        )
