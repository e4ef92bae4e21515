"""Phi3ForCausalLM checkpoints to GGUF."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ollamax.convert.base import Extra
from ollamax.convert.config import Config
from ollamax.convert.decoder import DecoderConverter
from ollamax.errors import ConversionError

_ORIGINAL = "original_max_position_embeddings"
_LONGROPE = {"type", "rope_type", "factor", "attention_factor", "long_factor", "short_factor", _ORIGINAL}


class Phi3Converter(DecoderConverter):
    """Converts Phi3ForCausalLM: fused projections, longrope, sliding windows, tied and untied output."""

    checkpoints = ("Phi3ForCausalLM",)
    architecture = "phi3"
    rename = (
        (r"model\.layers\.([0-9]+)\.self_attn\.qkv_proj\.", r"blk.\1.attn_qkv."),
        (r"model\.layers\.([0-9]+)\.mlp\.gate_up_proj\.", r"blk.\1.ffn_gate_up."),
        *DecoderConverter.rename,
    )

    def __init__(self, config: Mapping[str, Any]) -> None:
        sections = {name: Config(config).section(name) for name in ("rope_parameters", "rope_scaling")}
        scaling = Config({**sections["rope_parameters"], **sections["rope_scaling"]}, "config.json: RoPE scaling")
        self.longrope = scaling if scaling.get("rope_type", scaling.get("type")) in ("longrope", "su") else Config({})
        if self.longrope:
            # The base class reads what is left, and rejects what it does not know.
            rest = {name: {key: read[key] for key in read if key not in _LONGROPE} for name, read in sections.items()}
            config = {**config, **rest}
        super().__init__(config)

    def hyper_parameters(self) -> dict[str, Any]:
        """The keys ``phi3.*``; a window of 0 is none."""
        sliding = self.config.get("sliding_window") is not None
        window = self.config.size("sliding_window") if sliding else 0
        return {**super().hyper_parameters(), "phi3.attention.sliding_window": window, **self._scaling()}

    def _scaling(self) -> dict[str, Any]:
        """transformers' Phi3Config has the original context outside of longrope's settings, and 4096 by default."""
        if not self.longrope:
            return {}
        original = self.config.size(_ORIGINAL, default=4096)
        if (inside := self.longrope.size(_ORIGINAL, default=original)) != original:
            raise ConversionError(f"config.json: {_ORIGINAL} is {original}, but {inside} in RoPE scaling")
        # The magnitude of queries and keys is that of transformers' _compute_longrope_parameters.
        scale = self.longrope.number("factor", default=self.config.size("max_position_embeddings") / original)
        usual = math.sqrt(1 + math.log(scale) / math.log(original)) if scale > 1 and original > 1 else 1.0
        magnitude = self.longrope.number("attention_factor", default=usual)
        prefix = "phi3.rope.scaling."
        return {f"{prefix}original_context_length": original, f"{prefix}attn_factor": magnitude}

    def splits(self) -> dict[str, dict[str, int]]:
        """Queries, keys and values are one matrix in the checkpoint, and so are gate and up."""
        q, kv, splits = self.heads * self.head_dim, self.kv_heads * self.head_dim, {}
        for block in (f"blk.{layer}." for layer in range(self.layers)):
            attention = {f"{block}attn_q.weight": q, f"{block}attn_k.weight": kv, f"{block}attn_v.weight": kv}
            splits[f"{block}attn_qkv.weight"] = attention
            splits[f"{block}ffn_gate_up.weight"] = {f"{block}ffn_{part}.weight": self.ffn for part in ("gate", "up")}
        return splits

    def extras(self) -> Iterable[Extra]:
        """What longrope divides each of the ``head_dim / 2`` frequencies by."""
        import numpy as np

        for length in ("long", "short") if self.longrope else ():
            key, count = f"{length}_factor", self.head_dim // 2
            values = self.longrope.get(key)
            if not isinstance(values, list) or len(values) != count:
                raise ConversionError(f"config.json: RoPE scaling: {key} must be a list of {count} numbers")
            factors = [Config({key: value}, "config.json: RoPE scaling").number(key) for value in values]
            yield Extra(f"rope_factors_{length}.weight", np.array(factors, np.float32))
