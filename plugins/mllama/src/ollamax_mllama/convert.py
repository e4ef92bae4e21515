"""MllamaForConditionalGeneration checkpoints to GGUF: the keys and names of Ollama's convert/convert_mllama.go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ollamax.convert.base import Extra
from ollamax.convert.config import Config
from ollamax.convert.decoder import DecoderConverter
from ollamax.errors import ConversionError
from ollamax_mllama.convert_vision import PREPROCESSOR, PROCESSOR, VisionPart

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float32]

IMAGE_ROWS = 8
"""Rows of the embedding behind the vocabulary; the first is that of the token which stands for a picture."""

# As published, and as transformers 5 names them in memory.
_TEXT = r"(?:language_model\.model|model\.language_model)\."
_LAYER = _TEXT + r"layers\.([0-9]+)\."
_PAIRED = ("attn_q", "attn_k", "cross_attn_q_proj", "cross_attn_k_proj")


class MllamaConverter(DecoderConverter):
    """Converts MllamaForConditionalGeneration, text and vision."""

    checkpoints = ("MllamaForConditionalGeneration",)
    architecture = "mllama"
    rope_kinds = ("default", "linear", "llama3")
    files = (PREPROCESSOR, PROCESSOR)
    rename = (
        (_TEXT + r"embed_tokens\.", "token_embd."),
        (_TEXT + r"norm\.", "output_norm."),
        (r"(?:language_model\.)?lm_head\.", "output."),
        (_LAYER + r"input_layernorm\.", r"blk.\1.attn_norm."),
        (_LAYER + r"self_attn\.([qkv])_proj\.", r"blk.\1.attn_\2."),
        (_LAYER + r"self_attn\.o_proj\.", r"blk.\1.attn_output."),
        (_LAYER + r"cross_attn\.", r"blk.\1.cross_attn_"),
        (_LAYER + r"cross_attn_(attn|mlp)_gate$", r"blk.\1.cross_attn_\2_gate"),
        (_LAYER + r"post_attention_layernorm\.", r"blk.\1.ffn_norm."),
        (_LAYER + r"mlp\.(gate|up|down)_proj\.", r"blk.\1.ffn_\2."),
        *VisionPart.rename,
    )

    def __init__(self, config: Mapping[str, Any]) -> None:
        whole = Config(config)
        text = whole.section("text_config")
        # transformers keeps the output apart from the embedding, whatever this flag says.
        super().__init__({**text, "tie_word_embeddings": False})
        self.vision = VisionPart(whole)
        if self.head_dim * self.heads != self.dim:
            raise ConversionError(f"config.json: head_dim is {self.head_dim}; expected hidden_size / heads")
        self.cross_layers = _layers(self.config, "cross_attention_layers", self.layers)
        self.image_token = whole.size("image_token_index", most=self.vocab + IMAGE_ROWS - 1)

    def embedding_rows(self) -> int:
        """The vocabulary and the rows behind it."""
        return self.vocab + IMAGE_ROWS

    def hyper_parameters(self) -> dict[str, Any]:
        """The keys ``mllama.*``."""
        keys = super().hyper_parameters()
        keys["mllama.attention.cross_attention_layers"] = list(self.cross_layers)
        keys["ollamax.mllama.image_token_id"] = self.image_token
        return keys | self.vision.hyper_parameters()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor that config.json calls for."""
        shapes = super().shapes() | self.vision.shapes(self.dim)
        shapes["token_embd.weight"] = (self.embedding_rows(), self.dim)
        for layer in self.cross_layers:
            block = f"blk.{layer}."
            for name, crossing in (("q", "q_proj"), ("k", "k_proj"), ("v", "v_proj"), ("output", "o_proj")):
                shapes[f"{block}cross_attn_{crossing}.weight"] = shapes.pop(f"{block}attn_{name}.weight")
            shapes[block + "cross_attn_q_norm.weight"] = shapes[block + "cross_attn_k_norm.weight"] = (self.head_dim,)
            shapes[block + "cross_attn_attn_gate"] = shapes[block + "cross_attn_mlp_gate"] = (1,)
        return shapes

    def transforms(self, name: str) -> bool:
        """Queries and keys of the text, whose rows are reordered, and the gates of the vision encoder."""
        return self.vision.transforms(name) or self._paired(name)

    def permutes(self, name: str) -> bool:
        """Reordering is all that happens to queries and keys."""
        return self._paired(name)

    def transform(self, name: str, value: Array) -> Array:
        """Rows of each head from halves (i pairs with i + head_dim / 2) to neighbours (2 i with 2 i + 1).

        Ollama does so with cross-attention too, although nothing is rotated there.
        """
        if not self._paired(name):
            return self.vision.transform(name, value)
        heads = self.heads if name.endswith(("attn_q.weight", "q_proj.weight")) else self.kv_heads
        halves = value.reshape(heads, 2, self.head_dim // 2, -1)
        return halves.swapaxes(1, 2).reshape(value.shape)

    def copies(self) -> dict[str, str]:
        """One gate of the checkpoint is two in GGUF."""
        return self.vision.copies()

    def extras(self) -> Iterable[Extra]:
        """``rope_freqs.weight`` for llama3 scaling."""
        if self.rope.kind == "llama3":
            yield Extra("rope_freqs.weight", self.rope.frequency_factors(self.head_dim))

    def _paired(self, name: str) -> bool:
        return name.startswith("blk.") and name.removesuffix(".weight").rpartition(".")[2] in _PAIRED


def _layers(config: Config, key: str, count: int) -> tuple[int, ...]:
    """Numbers of layers in ascending order."""
    value = config.get(key)
    if not isinstance(value, list) or not value or any(type(layer) is not int for layer in value):
        raise ConversionError(f"config.json: {key} is {value!r:.60}; expected a list of layers")
    if min(value) < 0 or max(value) >= count or len(set(value)) < len(value):
        raise ConversionError(f"config.json: {key} is {value!r:.60}; expected different numbers below {count}")
    return tuple(sorted(value))
