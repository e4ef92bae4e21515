"""Layers with parameters. They take no sizes: the file has them."""

from __future__ import annotations

from ollamax.ml.nn.module import Module, Parameter
from ollamax.ml.ops import Op
from ollamax.ml.tensor import Tensor, apply, optional


class Weight(Module):
    """A bare tensor called ``NAME.weight``, such as rope factors; ``tensor`` is None when the file has none."""

    def __init__(self, optional: bool = False) -> None:
        self.weight = Parameter(optional)

    @property
    def tensor(self) -> Tensor | None:
        """The bound tensor, if any."""
        return self.weight.tensor


class Linear(Module):
    """``x W^T + b`` with ``weight (out, in)`` and, where the file has one, ``bias (out,)``.

    ``alt`` names another layer whose weight serves when the file has none here (a tied output).
    """

    def __init__(self, alt: str | None = None) -> None:
        self.weight = Parameter(alt=f"{alt}.weight" if alt else None)
        self.bias = Parameter(optional=True)

    def __call__(self, x: Tensor) -> Tensor:
        """``(..., in)`` to ``(..., out)``."""
        return optional(Op.LINEAR, x, self.weight.value, extra={"bias": self.bias.tensor})


class Embedding(Module):
    """Rows of ``weight (vocabulary, width)``."""

    def __init__(self) -> None:
        self.weight = Parameter()

    def __call__(self, ids: Tensor) -> Tensor:
        """``(...)`` to ``(..., width)``."""
        return apply(Op.EMBEDDING, self.weight.value, ids)


class RMSNorm(Module):
    """``x / sqrt(mean(x^2) + eps)``, times ``weight (width,)`` (Zhang and Sennrich 2019)."""

    def __init__(self, eps: float = 1e-6) -> None:
        self.eps, self.weight = eps, Parameter()

    def __call__(self, x: Tensor) -> Tensor:
        """``(..., width)`` to the same, over the last axis."""
        return optional(Op.RMS_NORM, x, extra={"weight": self.weight.value}, eps=self.eps)


class LayerNorm(Module):
    """Zero mean and unit variance, times ``weight (width,)`` (Ba et al. 2016).

    Plus ``bias (width,)`` where the file has one; ``eps`` is added to the variance.
    """

    def __init__(self, eps: float = 1e-5) -> None:
        self.eps, self.weight, self.bias = eps, Parameter(), Parameter(optional=True)

    def __call__(self, x: Tensor) -> Tensor:
        """``(..., width)`` to the same, over the last axis."""
        return optional(Op.LAYER_NORM, x, extra={"weight": self.weight.value, "bias": self.bias.tensor}, eps=self.eps)


class Conv2d(Module):
    """Cross-correlation with ``weight (out, in, kh, kw)`` and, where the file has one, ``bias (out,)``.

    ``stride`` and ``padding`` (zeros) are the same along both axes.
    """

    def __init__(self, stride: int = 1, padding: int = 0) -> None:
        self.stride, self.padding = stride, padding
        self.weight, self.bias = Parameter(), Parameter(optional=True)

    def __call__(self, x: Tensor) -> Tensor:
        """``(N, in, H, W)`` to ``(N, out, H', W')``, with ``H'`` = ``(H + 2 padding - kh) // stride + 1``."""
        return optional(
            Op.CONV2D,
            x,
            self.weight.value,
            extra={"bias": self.bias.tensor},
            stride=self.stride,
            padding=self.padding,
        )
