"""A qwen2-architecture GGUF file with random weights and windows on chosen layers, without torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from random_llama import metadata, weights

from ollamax.gguf import write_gguf
from ollamax.ml.dtype import quantize
from ollamax.types import DType, TensorInfo


def write_random_qwen2(path: Path, windows: Sequence[int | None], seed: int = 0, **changes: Any) -> Path:
    """Write the file: one block for each of ``windows``, which are all the same or None.

    ``changes`` replace metadata, without the architecture's name and with dots as double underscores.
    """
    named = {f"llama.{key.replace('__', '.')}": value for key, value in changes.items()}
    values = metadata({"llama.block_count": len(windows), **named})
    tensors, random = weights(values, seed), np.random.default_rng(seed + 1)
    for name, value in list(tensors.items()):
        if name.split(".")[-2] in ("attn_q", "attn_k", "attn_v"):
            tensors[name.replace("weight", "bias")] = random.normal(size=value.shape[0]).astype(np.float32)
    keys = {key.replace("llama.", "qwen2."): value for key, value in values.items()}
    keys["general.architecture"] = "qwen2"
    widths = {window for window in windows if window is not None}
    if widths:
        (keys["qwen2.attention.sliding_window"],) = widths
        keys["qwen2.attention.sliding_window_pattern"] = [window is not None for window in windows]
    infos = [TensorInfo(name, DType.F32, value.shape) for name, value in tensors.items()]
    write_gguf(path, keys, infos, lambda name: quantize(tensors[name], DType.F32))
    return path
