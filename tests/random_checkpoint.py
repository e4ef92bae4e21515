"""Random Hugging Face checkpoints of llama and qwen2, made without torch and transformers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from small_tokenizer import save_byte_level, save_sentencepiece

LAYERS, DIM, FFN, HEADS, KV_HEADS = 3, 64, 96, 4, 2
HEAD_DIM = DIM // HEADS
SHAPES = {
    "input_layernorm.weight": (DIM,),
    "self_attn.q_proj.weight": (DIM, DIM),
    "self_attn.k_proj.weight": (KV_HEADS * HEAD_DIM, DIM),
    "self_attn.v_proj.weight": (KV_HEADS * HEAD_DIM, DIM),
    "self_attn.o_proj.weight": (DIM, DIM),
    "post_attention_layernorm.weight": (DIM,),
    "mlp.gate_proj.weight": (FFN, DIM),
    "mlp.up_proj.weight": (FFN, DIM),
    "mlp.down_proj.weight": (DIM, FFN),
}
BIASES = {f"self_attn.{name}_proj.bias": SHAPES[f"self_attn.{name}_proj.weight"][:1] for name in "qkv"}


def save_random_checkpoint(directory: Path, family: str, tokenizer: str, *, tied: bool = False, **config: Any) -> Path:
    """Write a ``{family}ForCausalLM`` of float32; ``tokenizer`` is ``spm``, or the pattern of a byte-level one."""
    directory.mkdir()
    vocab = save_sentencepiece(directory) if tokenizer == "spm" else save_byte_level(directory, tokenizer)
    values = {
        "architectures": [f"{family}ForCausalLM"],
        "model_type": family.lower(),
        "vocab_size": vocab,
        "hidden_size": DIM,
        "intermediate_size": FFN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "max_position_embeddings": 256,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": tied,
        **config,
    }
    (directory / "config.json").write_text(json.dumps(values), encoding="utf-8")
    layer = SHAPES | (BIASES if family == "Qwen2" else {})
    shapes = {f"model.layers.{at}.{name}": shape for at in range(LAYERS) for name, shape in layer.items()}
    shapes |= {"model.embed_tokens.weight": (vocab, DIM), "model.norm.weight": (DIM,)}
    if not tied:
        shapes["lm_head.weight"] = (vocab, DIM)
    random = np.random.default_rng(0)
    save_file({name: _values(random, name, shape) for name, shape in shapes.items()}, directory / "model.safetensors")
    return directory


def _values(random: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if "norm" in name:
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    return (random.normal(size=shape) * (0.2 if name.endswith("bias") else 1.2 / shape[-1] ** 0.5)).astype(np.float32)
