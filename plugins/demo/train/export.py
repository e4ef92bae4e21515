"""Writes a model as a Hugging Face directory that transformers loads and a converter reads."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from corpus import BOS, END, END_OF_TEXT
from tokenizers import Tokenizer
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM
from vocabulary import wrap


def configuration(tokenizer: Tokenizer, layers: int, width: int, hidden: int, context: int) -> LlamaConfig:
    """Return the configuration of a small llama; all sizes are multiples of 32, the block size of Q8_0."""
    return LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=width,
        intermediate_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=width // 32,
        num_key_value_heads=width // 64,
        head_dim=32,
        max_position_embeddings=context,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        initializer_range=0.03,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.token_to_id(BOS),
        eos_token_id=tokenizer.token_to_id(END),
        pad_token_id=tokenizer.token_to_id(END_OF_TEXT),
    )


def prime(model: LlamaForCausalLM) -> None:
    """Let every head above the first layer start out by copying what it attends to into the prediction.

    The embedding is tied, so a head copies when its output matrix undoes its value matrix; then training has only to
    find out where to look.
    """
    config = model.config
    width, size = config.hidden_size, config.head_dim
    shared = config.num_attention_heads // config.num_key_value_heads
    for layer in model.model.layers[1:]:
        basis = torch.linalg.qr(torch.randn(width, config.num_key_value_heads * size))[0].T
        heads = [basis[size * (head // shared) :][:size].T for head in range(config.num_attention_heads)]
        with torch.no_grad():
            layer.self_attn.v_proj.weight.copy_(0.5 * basis)
            layer.self_attn.o_proj.weight.copy_(0.25 * torch.cat(heads, dim=1))


def export(model: LlamaForCausalLM, tokenizer: Tokenizer, out: Path) -> None:
    """Write weights, configuration, tokenizer and chat template of `model` to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.token_to_id(BOS),
        eos_token_id=[tokenizer.token_to_id(END), tokenizer.token_to_id(END_OF_TEXT)],
        pad_token_id=tokenizer.token_to_id(END_OF_TEXT),
        do_sample=True,
        temperature=0.7,
        top_p=0.95,
        max_length=model.config.max_position_embeddings,
    )
    model.save_pretrained(out)
    wrap(tokenizer, model.config.max_position_embeddings).save_pretrained(out)
    # The name that transformers 5 writes is unknown to the releases before it; both read this one.
    path = out / "tokenizer_config.json"
    settings = json.loads(path.read_text("utf-8"))
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(settings, indent=2) + "\n", "utf-8")
