"""A llama checkpoint of any size, of random BF16 weights, in shards of safetensors or of PyTorch's archives."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path

import numpy as np
import tokenizers
from torch_pickle import archive, state_dict, storage, tensor

from ollamax.testing.byte_level import LLAMA3_SPLIT

DIM, FFN, HEADS, KV_HEADS, VOCAB = 2048, 8192, 16, 8, 32000
Shapes = dict[str, tuple[int, ...]]
ENDS: Shapes = {
    "model.embed_tokens.weight": (VOCAB, DIM),
    "lm_head.weight": (VOCAB, DIM),
    "model.norm.weight": (DIM,),
}
LAYER: Shapes = {
    "self_attn.q_proj.weight": (DIM, DIM),
    "self_attn.k_proj.weight": (DIM // 2, DIM),
    "self_attn.v_proj.weight": (DIM // 2, DIM),
    "self_attn.o_proj.weight": (DIM, DIM),
    "mlp.gate_proj.weight": (FFN, DIM),
    "mlp.up_proj.weight": (FFN, DIM),
    "mlp.down_proj.weight": (DIM, FFN),
    "input_layernorm.weight": (DIM,),
    "post_attention_layernorm.weight": (DIM,),
}
LARGEST = 2 * VOCAB * DIM
"""Bytes of the largest tensor."""


def write_large_checkpoint(directory: Path, size: float, *, pickled: bool = False) -> int:
    """Write a LlamaForCausalLM of about ``size`` bytes, one layer a shard; returns the bytes of its weights."""
    directory.mkdir()
    layers = max(1, round((size - _nbytes(ENDS)) / _nbytes(LAYER)))
    shards = [{f"model.layers.{at}.{name}": shape for name, shape in LAYER.items()} for at in range(layers)]
    shards.append(ENDS)
    random = np.random.default_rng(0).normal(scale=0.02, size=1 << 20).astype(np.float32)
    block = (random.view(np.uint32) >> 16).astype("<u2").tobytes()
    for at, shapes in enumerate(shards, 1):
        count = f"{at:05}-of-{len(shards):05}"
        if pickled:
            _write_archive(directory / f"pytorch_model-{count}.bin", shapes, block)
        else:
            _write_safetensors(directory / f"model-{count}.safetensors", shapes, block)
    (directory / "config.json").write_text(json.dumps(_config(layers)), encoding="utf-8")
    _tokenizer().save(str(directory / "tokenizer.json"))
    return sum(map(_nbytes, shards))


def _nbytes(shapes: Shapes) -> int:
    return 2 * sum(map(prod, shapes.values()))


def _values(shape: tuple[int, ...], block: bytes) -> bytes:
    """The same random values over and over: only how many there are matters."""
    size = 2 * prod(shape)
    return (block * -(-size // len(block)))[:size]


def _write_safetensors(path: Path, shapes: Shapes, block: bytes) -> None:
    header, end = {}, 0
    for name, shape in shapes.items():
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + 2 * prod(shape)]}
        end += 2 * prod(shape)
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for shape in shapes.values():
            file.write(_values(shape, block))


def _write_archive(path: Path, shapes: Shapes, block: bytes) -> None:
    entries = {}
    for key, (name, shape) in enumerate(shapes.items()):
        stored = storage(str(key), b"BFloat16Storage", prod(shape))
        entries[name] = tensor(stored, shape, (shape[-1], 1) if len(shape) == 2 else (1,))
    storages = ((str(key), _values(shape, block)) for key, shape in enumerate(shapes.values()))
    archive(path, state_dict(**entries), storages)


def _config(layers: int) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": VOCAB,
        "hidden_size": DIM,
        "intermediate_size": FFN,
        "num_hidden_layers": layers,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-5,
    }


def _tokenizer() -> tokenizers.Tokenizer:
    """As many tokens as the embedding has rows: the bytes, then pairs of tokens, as far as they last."""
    texts = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    merges = []
    for left in texts[:]:
        for right in texts[:256]:
            if len(texts) < VOCAB:
                merges.append((left, right))
                texts.append(left + right)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE({text: at for at, text in enumerate(texts)}, merges))
    split = tokenizers.pre_tokenizers.Split(tokenizers.Regex(LLAMA3_SPLIT), "isolated")
    bytewise = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([split, bytewise])
    return tokenizer
