"""Operations without parameters."""

from __future__ import annotations

from ollamax.errors import GraphError
from ollamax.ml.ops import Op
from ollamax.ml.tensor import Tensor, apply, optional


def silu(x: Tensor) -> Tensor:
    """``x sigmoid(x)``."""
    return apply(Op.SILU, x)


def silu_mul(gate: Tensor, up: Tensor) -> Tensor:
    """``silu(gate) * up``: the product of SwiGLU."""
    return apply(Op.SILU_MUL, gate, up)


def gelu(x: Tensor, approximate: bool = False) -> Tensor:
    """``x Phi(x)`` with the normal distribution's Phi (Hendrycks and Gimpel 2016), or ``approximate`` by tanh."""
    return apply(Op.GELU, x, approximate=approximate)


def relu(x: Tensor) -> Tensor:
    """``max(x, 0)``."""
    return apply(Op.RELU, x)


def sigmoid(x: Tensor) -> Tensor:
    """``1 / (1 + exp(-x))``."""
    return apply(Op.SIGMOID, x)


def softmax(x: Tensor) -> Tensor:
    """``exp(x) / sum(exp(x))``, over the last axis."""
    return apply(Op.SOFTMAX, x)


def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return apply(Op.TANH, x)


def causal_mask(query_positions: Tensor, key_positions: Tensor, window: int | None = None) -> Tensor:
    """Which cells ``(N, S)`` each query ``(N, T)`` may see: in use (position >= 0), not later, inside the window."""
    return apply(Op.MASK, query_positions, key_positions, window=window)


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    *,
    scale: float | None = None,
    sinks: Tensor | None = None,
    softcap: float | None = None,
) -> Tensor:
    """Scaled dot-product attention (Vaswani et al. 2017) with grouped heads (Ainslie et al. 2023).

    ``q (N, T, heads, width)``, ``k`` and ``v (N, S, groups, width)``, ``mask (N, T, S)``; ``scale`` defaults to
    ``width ** -0.5``; ``sinks (heads,)`` are logits that take part in the softmax without a value, ``softcap`` squeezes
    scores to ``softcap * tanh(scores / softcap)``. Without a mask every query sees every key; one that sees nothing
    yields 0. Raises GraphError for shapes that do not fit.
    """
    width = q.shape[-1]
    if not isinstance(width, int):
        raise GraphError(f"heads of {q!r} have no fixed size")
    factor = width**-0.5 if scale is None else scale
    return optional(Op.ATTENTION, q, k, v, extra={"mask": mask, "sinks": sinks}, scale=factor, softcap=softcap)
