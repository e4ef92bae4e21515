"""Building blocks of models: ``from ollamax.ml import nn``."""

from ollamax.ml.nn.functional import (
    attention,
    causal_mask,
    gelu,
    relu,
    sigmoid,
    silu,
    silu_mul,
    softmax,
    tanh,
)
from ollamax.ml.nn.layers import Conv2d, Embedding, LayerNorm, Linear, RMSNorm, Weight
from ollamax.ml.nn.module import Module, Parameter
from ollamax.ml.nn.rope import Pairing, Rope

__all__ = [
    "Conv2d",
    "Embedding",
    "LayerNorm",
    "Linear",
    "Module",
    "Pairing",
    "Parameter",
    "RMSNorm",
    "Rope",
    "Weight",
    "attention",
    "causal_mask",
    "gelu",
    "relu",
    "sigmoid",
    "silu",
    "silu_mul",
    "softmax",
    "tanh",
]
