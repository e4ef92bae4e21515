"""LlamaForCausalLM checkpoints to GGUF: the keys and tensor names that llama.cpp's conversion/llama.py writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ollamax.convert.base import Extra
from ollamax.convert.decoder import DecoderConverter

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float32]

_ATTENTION = ("attn_q", "attn_k", "attn_v", "attn_output")
_MLP = ("ffn_gate", "ffn_up", "ffn_down")


class LlamaConverter(DecoderConverter):
    """Converts LlamaForCausalLM: grouped heads, tied and untied output, biases, linear and llama3 RoPE scaling."""

    checkpoints = ("LlamaForCausalLM",)
    architecture = "llama"
    rope_kinds = ("default", "linear", "llama3")

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.attention_bias = self.config.flag("attention_bias", default=False)
        self.mlp_bias = self.config.flag("mlp_bias", default=False)

    def biased(self) -> tuple[str, ...]:
        """All of attention's projections, all of the MLP's, both or none."""
        return (_ATTENTION if self.attention_bias else ()) + (_MLP if self.mlp_bias else ())

    def transforms(self, name: str) -> bool:
        """Query and key projections, whose rows are reordered."""
        return ".attn_q." in name or ".attn_k." in name

    def permutes(self, name: str) -> bool:
        """Reordering is all that happens to them."""
        return self.transforms(name)

    def transform(self, name: str, value: Array) -> Array:
        """Rows of each head from halves (i pairs with i + head_dim / 2) to neighbours (2 i with 2 i + 1).

        transformers' LlamaForCausalLM rotates halves; llama.cpp's llama rotates neighbours.
        """
        heads = self.heads if ".attn_q." in name else self.kv_heads
        halves = value.reshape(heads, 2, self.head_dim // 2, -1)
        return halves.swapaxes(1, 2).reshape(value.shape)

    def extras(self) -> Iterable[Extra]:
        """``rope_freqs.weight`` for llama3 scaling."""
        if self.rope.kind == "llama3":
            yield Extra("rope_freqs.weight", self.rope.frequency_factors(self.head_dim))
