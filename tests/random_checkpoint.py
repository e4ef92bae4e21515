"""Random Hugging Face checkpoints of llama and qwen2, made without torch and transformers."""

from functools import partial
from pathlib import Path
from typing import Any

from small_tokenizer import save_sentencepiece

from ollamax.testing.byte_level import save_byte_level
from ollamax.testing.random_checkpoint import RandomCheckpoint

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


def random_checkpoint(family: str, tokenizer: str, *, tied: bool = False, **config: Any) -> RandomCheckpoint:
    """A ``{family}ForCausalLM``; ``tokenizer`` is ``spm``, or the pattern of a byte-level one."""
    values = {
        "architectures": [f"{family}ForCausalLM"],
        "model_type": family.lower(),
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
    layer = SHAPES | (BIASES if family == "Qwen2" else {})
    embedding = ("vocab_size", DIM)
    shapes: dict[str, tuple[int | str, ...]] = {"model.embed_tokens.weight": embedding, "model.norm.weight": (DIM,)}
    shapes |= {f"model.layers.*.{name}": shape for name, shape in layer.items()}
    if not tied:
        shapes["lm_head.weight"] = embedding
    save = save_sentencepiece if tokenizer == "spm" else partial(save_byte_level, pattern=tokenizer)
    return RandomCheckpoint(values, shapes, save)


def save_random_checkpoint(directory: Path, family: str, tokenizer: str, *, tied: bool = False, **config: Any) -> Path:
    """Write one."""
    return random_checkpoint(family, tokenizer, tied=tied, **config).save(directory)
