"""The config.json and the tensors of a very small MllamaForConditionalGeneration, in both spellings."""

from typing import Any

TEXT: dict[str, Any] = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-6,
    "cross_attention_layers": [1],
}
VISION: dict[str, Any] = {
    "hidden_size": 8,
    "intermediate_size": 12,
    "num_hidden_layers": 1,
    "num_global_layers": 1,
    "attention_heads": 2,
    "image_size": 4,
    "patch_size": 2,
    "vision_output_dim": 16,
    "intermediate_layers_indices": [0],
}
CONFIG: dict[str, Any] = {
    "architectures": ["MllamaForConditionalGeneration"],
    "image_token_index": 40,
    "text_config": TEXT,
    "vision_config": VISION,
}


def layer(prefix: str, **shapes: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {prefix + name.replace("__", "."): shape for name, shape in shapes.items()}


def vision_layer(prefix: str) -> dict[str, tuple[int, ...]]:
    norms = {f"{norm}__{part}": (8,) for norm in ("input_layernorm", "post_attention_layernorm") for part in PARTS}
    attention = {f"self_attn__{name}_proj__weight": (8, 8) for name in "qkvo"}
    first = {"mlp__fc1__weight": (12, 8), "mlp__fc1__bias": (12,)}
    return layer(prefix, **norms, **attention, **first, mlp__fc2__weight=(8, 12), mlp__fc2__bias=(8,))


PARTS = ("weight", "bias")
MLP = {"mlp__gate_proj__weight": (24, 16), "mlp__up_proj__weight": (24, 16), "mlp__down_proj__weight": (16, 24)}
NORMS = {"input_layernorm__weight": (16,), "post_attention_layernorm__weight": (16,)}
PROJECTIONS = {"q_proj__weight": (16, 16), "k_proj__weight": (8, 16), "v_proj__weight": (8, 16)}


def checkpoint_shapes(text: str, vision: str, head: str, projector: str, vocab: int = 40) -> dict[str, tuple[int, ...]]:
    """The tensors of a checkpoint with these prefixes."""
    reading = {f"self_attn__{name}": shape for name, shape in PROJECTIONS.items()}
    looking = {f"cross_attn__{name}": shape for name, shape in PROJECTIONS.items()}
    tile = f"{vision}.gated_positional_embedding."
    return {
        f"{text}.embed_tokens.weight": (vocab + 8, 16),
        f"{text}.norm.weight": (16,),
        f"{head}lm_head.weight": (vocab, 16),
        **layer(f"{text}.layers.0.", **NORMS, **MLP, **reading, self_attn__o_proj__weight=(16, 16)),
        **layer(f"{text}.layers.1.", **NORMS, **MLP, **looking, cross_attn__o_proj__weight=(16, 16)),
        **layer(f"{text}.layers.1.cross_attn", __q_norm__weight=(4,), __k_norm__weight=(4,)),
        **layer(f"{text}.layers.1.", cross_attn_attn_gate=(1,), cross_attn_mlp_gate=(1,)),
        f"{vision}.class_embedding": (8,),
        f"{vision}.patch_embedding.weight": (8, 3, 2, 2),
        **layer(tile, embedding=(5, 8), gate=(1,), tile_embedding__weight=(9, 160)),
        **layer(f"{vision}.pre_tile_positional_embedding.", gate=(1,), embedding__weight=(9, 32)),
        **layer(f"{vision}.post_tile_positional_embedding.", gate=(1,), embedding__weight=(9, 32)),
        **{f"{vision}.layernorm_{side}.{part}": (8,) for side in ("pre", "post") for part in PARTS},
        **vision_layer(f"{vision}.transformer.layers.0."),
        **vision_layer(f"{vision}.global_transformer.layers.0."),
        **layer(f"{vision}.global_transformer.layers.0.", gate_attn=(1,), gate_ffn=(1,)),
        f"{projector}.weight": (16, 16),
        f"{projector}.bias": (16,),
    }


PREFIXES = ("language_model.model", "vision_model", "language_model.", "multi_modal_projector")
PUBLISHED = checkpoint_shapes(*PREFIXES)
IN_MEMORY = checkpoint_shapes("model.language_model", "model.vision_model", "", "model.multi_modal_projector")
