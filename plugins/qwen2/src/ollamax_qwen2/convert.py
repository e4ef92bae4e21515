"""Qwen2ForCausalLM checkpoints to GGUF: the keys and tensor names that llama.cpp's conversion/qwen.py writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ollamax.convert.config import Config
from ollamax.convert.decoder import DecoderConverter
from ollamax.errors import ConversionError

_FULL, _SLIDING = "full_attention", "sliding_attention"


class Qwen2Converter(DecoderConverter):
    """Converts Qwen2ForCausalLM: biases of q, k and v, tied and untied output, sliding windows, linear and yarn RoPE.

    Rows of q and k stay as they are: llama.cpp's qwen2 rotates halves, as transformers does.
    """

    checkpoints = ("Qwen2ForCausalLM",)
    architecture = "qwen2"
    rope_kinds = ("default", "linear", "yarn")

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.window = _window(self.config)
        self.sliding = _sliding(self.config, self.layers, self.window)

    def biased(self) -> tuple[str, ...]:
        """Queries, keys and values; the output projection has none."""
        return ("attn_q", "attn_k", "attn_v")

    def hyper_parameters(self) -> dict[str, Any]:
        """The keys ``qwen2.*``."""
        keys = super().hyper_parameters()
        if any(self.sliding):
            keys["qwen2.attention.sliding_window"] = self.window
            keys["qwen2.attention.sliding_window_pattern"] = self.sliding
        return keys


def _window(read: Config) -> int | None:
    """Tokens that a sliding layer sees, the query's own among them; None without windows."""
    if not read.flag("use_sliding_window", default=False):
        return None
    # Unlike an absent one, null turns windows off.
    if "sliding_window" in read and read["sliding_window"] is None:
        return None
    return read.size("sliding_window", default=4096)


def _sliding(read: Config, layers: int, window: int | None) -> list[bool]:
    """Which layers have the window."""
    kinds = read.get("layer_types")
    if kinds is None:
        first = read.size("max_window_layers", default=28, least=0)
        return [window is not None and layer >= first for layer in range(layers)]
    if not isinstance(kinds, list) or len(kinds) != layers or any(kind not in (_FULL, _SLIDING) for kind in kinds):
        shown = repr(kinds)[:60]
        raise ConversionError(
            f"config.json: layer_types is {shown}; expected a list of {layers}, each {_FULL} or {_SLIDING}"
        )
    sliding = [kind == _SLIDING for kind in kinds]
    if any(sliding) and window is None:
        raise ConversionError(
            f"config.json: layer_types has {_SLIDING}, but there is no window; "
            "expected use_sliding_window true and a sliding_window"
        )
    return sliding
