"""Random mllama checkpoints as transformers saves them, pictures, and what transformers makes of both."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

VISION = {
    "hidden_size": 32,
    "attention_heads": 4,
    "num_hidden_layers": 4,
    "num_global_layers": 2,
    "intermediate_size": 48,
    "image_size": 28,
    "patch_size": 7,
    "vision_output_dim": 96,
    "intermediate_layers_indices": [1, 2],
}
TEXT = {
    "hidden_size": 64,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "cross_attention_layers": [1, 3],
    "max_position_embeddings": 256,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
}
PREPROCESSOR = {"image_mean": [0.4, 0.45, 0.5], "image_std": [0.3, 0.25, 0.2]}


def write_random_mllama(
    directory: Path,
    vocab: int,
    *,
    vision: dict[str, Any] | None = None,
    text: dict[str, Any] | None = None,
    dtype: str = "float32",
) -> Path:
    """Save a random model into ``directory``; the token of a picture is the first behind the vocabulary."""
    import torch
    import transformers
    from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil

    config = transformers.MllamaConfig(
        vision_config=VISION | (vision or {}),
        text_config=TEXT | {"vocab_size": vocab} | (text or {}),
        image_token_index=vocab,
    )
    torch.manual_seed(0)
    model = transformers.MllamaForConditionalGeneration(config)
    for name, parameter in model.named_parameters():
        # transformers starts gates and biases at zero and norms at one, which would hide a lost one.
        if "norm" in name and name.endswith("weight"):
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
        else:
            wide = parameter.ndim < 2 or "embed" in name
            torch.nn.init.normal_(parameter, std=0.8 if wide else 1.2 / parameter[0].numel() ** 0.5)
    model.to(getattr(torch, dtype)).eval().save_pretrained(directory)
    side, tiles = config.vision_config.image_size, config.vision_config.max_num_tiles
    MllamaImageProcessorPil(
        size={"height": side, "width": side}, max_image_tiles=tiles, **PREPROCESSOR
    ).save_pretrained(directory)
    return directory


def png(width: int, height: int, seed: int = 0) -> bytes:
    """A random picture."""
    from PIL import Image

    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).save(buffer, "PNG")
    return buffer.getvalue()


PICTURES = {
    "wide": png(100, 30),
    "tall": png(26, 95),
    "small": png(9, 7),
    "exactly-tiled": png(56, 56),
    "one-tile": png(28, 28),
}


def reference_inputs(
    directory: Path, ids: Sequence[int], pictures: Sequence[bytes], image_token: int
) -> dict[str, Any]:
    """The inputs that transformers' processor makes: pixels, and the mask of which token sees which tile."""
    import torch
    from PIL import Image
    from transformers.models.mllama import image_processing_pil_mllama as pixels
    from transformers.models.mllama import processing_mllama as processing

    inputs: dict[str, Any] = {"input_ids": torch.tensor([list(ids)])}
    if not pictures:
        return inputs
    processor = pixels.MllamaImageProcessorPil.from_pretrained(directory)
    prepared = processor(images=[[Image.open(io.BytesIO(data)) for data in pictures]], return_tensors="pt")
    seen = processing.get_cross_attention_token_mask(list(ids), image_token)
    mask = processing.convert_sparse_cross_attention_mask_to_dense(
        [seen], prepared.pop("num_tiles"), processor.max_image_tiles, len(ids)
    )
    return inputs | dict(prepared) | {"cross_attention_mask": torch.from_numpy(mask)}


@lru_cache(maxsize=2)
def reference_model(directory: Path) -> Any:
    """transformers' model in float32 arithmetic, whatever the checkpoint's type."""
    import torch
    import transformers

    return transformers.MllamaForConditionalGeneration.from_pretrained(directory, dtype=torch.float32)


def reference_logits(directory: Path, ids: Sequence[int], pictures: Sequence[bytes], image_token: int) -> np.ndarray:
    """transformers' logits ``(len(ids), vocabulary)``."""
    import torch

    with torch.no_grad():
        output = reference_model(directory)(**reference_inputs(directory, ids, pictures, image_token))
    return np.asarray(output.logits[0].numpy())
