"""What converters of llama-like decoders share: the names, sizes and keys of their checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ollamax.convert.base import Converter
from ollamax.convert.rope import Rope
from ollamax.errors import ConversionError

_MOST_LAYERS = 4096  # bounds the work that a hostile config.json asks for
_LAYER = r"model\.layers\.([0-9]+)\."


class DecoderConverter(Converter):
    """Checkpoints of pre-norm blocks with rotary grouped-query attention and a gated MLP, in transformers' names.

    ::

        class TinyConverter(DecoderConverter):
            checkpoints = ("TinyForCausalLM",)
            architecture = "tiny"
            rope_kinds = ("default", "linear")        # the RoPE scalings that the architecture runs

            def biased(self): return ("attn_q",)      # the projections of a block that have a bias
    """

    rope_kinds: ClassVar[tuple[str, ...]] = ("default",)
    rename: ClassVar[tuple[tuple[str, str], ...]] = (
        (r"model\.embed_tokens\.", "token_embd."),
        (r"model\.norm\.", "output_norm."),
        (r"lm_head\.", "output."),
        (_LAYER + r"input_layernorm\.", r"blk.\1.attn_norm."),
        (_LAYER + r"self_attn\.q_proj\.", r"blk.\1.attn_q."),
        (_LAYER + r"self_attn\.k_proj\.", r"blk.\1.attn_k."),
        (_LAYER + r"self_attn\.v_proj\.", r"blk.\1.attn_v."),
        (_LAYER + r"self_attn\.o_proj\.", r"blk.\1.attn_output."),
        (_LAYER + r"post_attention_layernorm\.", r"blk.\1.ffn_norm."),
        (_LAYER + r"mlp\.gate_proj\.", r"blk.\1.ffn_gate."),
        (_LAYER + r"mlp\.up_proj\.", r"blk.\1.ffn_up."),
        (_LAYER + r"mlp\.down_proj\.", r"blk.\1.ffn_down."),
    )
    ignore = (r".*\.rotary_emb\.inv_freq$",)

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        read = self.config
        self.vocab, self.dim = read.size("vocab_size"), read.size("hidden_size")
        self.layers = read.size("num_hidden_layers", most=_MOST_LAYERS)
        self.ffn = read.size("intermediate_size")
        self.heads = read.size("num_attention_heads")
        self.kv_heads = read.size("num_key_value_heads", default=self.heads)
        self.head_dim = read.size("head_dim", default=_head_dim(self.dim, self.heads, read.get("head_dim")))
        self.tied = read.flag("tie_word_embeddings", default=False)
        self.rope = Rope(self.config, self.rope_kinds)
        if self.heads % self.kv_heads:
            raise ConversionError(
                f"config.json: num_attention_heads is {self.heads}, which num_key_value_heads "
                f"{self.kv_heads} does not divide"
            )
        if self.head_dim % 2:
            raise ConversionError(f"config.json: head_dim is {self.head_dim}; RoPE needs an even number")
        activation = read.text("hidden_act", default="silu")
        if activation not in ("silu", "swish"):
            raise ConversionError(f"config.json: hidden_act {activation!r} is not supported; expected 'silu'")

    def biased(self) -> tuple[str, ...]:
        """The projections of a block that have a bias, such as ``attn_q``; none by default."""
        return ()

    def hyper_parameters(self) -> dict[str, Any]:
        """The keys of sizes, norms and RoPE, each below the architecture's name."""
        read = self.config
        keys: dict[str, Any] = {
            "vocab_size": self.vocab,
            "context_length": read.size("max_position_embeddings"),
            "embedding_length": self.dim,
            "block_count": self.layers,
            "feed_forward_length": self.ffn,
            "attention.head_count": self.heads,
            "attention.head_count_kv": self.kv_heads,
            "attention.layer_norm_rms_epsilon": read.number("rms_norm_eps"),
            "rope.dimension_count": self.head_dim,
            **self.rope.keys(),
        }
        if read.get("head_dim") is not None:
            keys["attention.key_length"] = keys["attention.value_length"] = self.head_dim
        return {f"{self.architecture}.{key}": value for key, value in keys.items()}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor that config.json calls for."""
        dim, ffn, queries, keys = self.dim, self.ffn, self.heads * self.head_dim, self.kv_heads * self.head_dim
        shapes: dict[str, tuple[int, ...]] = {
            "token_embd.weight": (self.vocab, dim),
            "output_norm.weight": (dim,),
        }
        if not self.tied:
            shapes["output.weight"] = (self.vocab, dim)
        projections = {
            "attn_q": (queries, dim),
            "attn_k": (keys, dim),
            "attn_v": (keys, dim),
            "attn_output": (dim, queries),
            "ffn_gate": (ffn, dim),
            "ffn_up": (ffn, dim),
            "ffn_down": (dim, ffn),
        }
        biased = self.biased()
        for layer in range(self.layers):
            block = f"blk.{layer}."
            shapes[block + "attn_norm.weight"] = shapes[block + "ffn_norm.weight"] = (dim,)
            for name, shape in projections.items():
                shapes[f"{block}{name}.weight"] = shape
                if name in biased:
                    shapes[f"{block}{name}.bias"] = shape[:1]
        return shapes

    def skips(self, name: str) -> bool:
        """Buffers, and an output matrix which config.json ties to the embedding."""
        return super().skips(name) or (self.tied and name == "lm_head.weight")


def _head_dim(dim: int, heads: int, chosen: object) -> int:
    """The head size where config.json does not choose one."""
    if chosen is None and dim % heads:
        raise ConversionError(f"config.json: hidden_size is {dim}, which num_attention_heads {heads} does not divide")
    return dim // heads
