"""A llama-architecture GGUF file with random weights and a byte-level vocabulary, without torch."""

from pathlib import Path
from typing import Any

import numpy as np

from ollamax.gguf import write_gguf
from ollamax.ml.dtype import quantize
from ollamax.testing.tokenizer_suite import byte_level_metadata
from ollamax.types import DType, TensorInfo

BOS, EOS = 256, 257


def metadata(changes: dict[str, Any]) -> dict[str, Any]:
    return {
        "general.architecture": "llama",
        "general.name": "random",
        "llama.block_count": 2,
        "llama.context_length": 128,
        "llama.embedding_length": 32,
        "llama.feed_forward_length": 64,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": 8,
        **byte_level_metadata("gpt-2"),
        "tokenizer.ggml.add_bos_token": True,
        **changes,
    }


def weights(values: dict[str, Any], seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    dim, ffn = values["llama.embedding_length"], values["llama.feed_forward_length"]
    heads, groups = values["llama.attention.head_count"], values["llama.attention.head_count_kv"]
    width = values.get("llama.attention.key_length", dim // heads)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return (random.normal(size=(rows, columns)) * 1.5 / columns**0.5).astype(np.float32)

    tensors = {"token_embd.weight": matrix(len(values["tokenizer.ggml.tokens"]), dim) * 4}
    for layer in range(values["llama.block_count"]):
        shapes = {
            "attn_q": (heads * width, dim),
            "attn_k": (groups * width, dim),
            "attn_v": (groups * width, dim),
            "attn_output": (dim, heads * width),
            "ffn_gate": (ffn, dim),
            "ffn_up": (ffn, dim),
            "ffn_down": (dim, ffn),
        }
        tensors |= {f"blk.{layer}.{name}.weight": matrix(*shape) for name, shape in shapes.items()}
        for name in ("attn_norm", "ffn_norm"):
            tensors[f"blk.{layer}.{name}.weight"] = random.uniform(0.5, 1.5, dim).astype(np.float32)
    return tensors | {"output_norm.weight": random.uniform(0.5, 1.5, dim).astype(np.float32)}


def write_random_llama(
    path: Path, seed: int = 0, dtype: DType = DType.F32, drop: str | None = None, **changes: Any
) -> Path:
    """Write the file; ``changes`` replace metadata (dots as double underscores), ``drop`` leaves a tensor out."""
    values = metadata({key.replace("__", "."): value for key, value in changes.items()})
    tensors = {name: value for name, value in weights(values, seed).items() if name != drop}
    types = {name: dtype if value.ndim == 2 else DType.F32 for name, value in tensors.items()}
    infos = [TensorInfo(name, types[name], value.shape) for name, value in tensors.items()]
    write_gguf(path, values, infos, lambda name: quantize(tensors[name], types[name]))
    return path
