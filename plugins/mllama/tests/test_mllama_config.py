"""Keys of a GGUF file that contradict each other are refused before anything is built from them."""

from typing import Any

import pytest

from ollamax.errors import ArchitectureError, GGUFError
from ollamax.gguf import Metadata
from ollamax_mllama.images import DEVIATION, MEAN
from ollamax_mllama.model import Mllama

KEYS: dict[str, Any] = {
    "mllama.block_count": 3,
    "mllama.embedding_length": 16,
    "mllama.feed_forward_length": 24,
    "mllama.attention.head_count": 4,
    "mllama.attention.head_count_kv": 2,
    "mllama.attention.layer_norm_rms_epsilon": 1e-5,
    "mllama.attention.cross_attention_layers": [1],
    "mllama.vision.block_count": 2,
    "mllama.vision.global.block_count": 1,
    "mllama.vision.intermediate_layers_indices": [0],
    "mllama.vision.embedding_length": 8,
    "mllama.vision.feed_forward_length": 12,
    "mllama.vision.attention.head_count": 2,
    "mllama.vision.attention.layer_norm_epsilon": 1e-5,
    "mllama.vision.image_size": 4,
    "mllama.vision.patch_size": 2,
    "mllama.vision.max_num_tiles": 4,
    "tokenizer.ggml.tokens": ["a", "b", "<|image|>"],
}


def test_a_file_without_our_own_keys_means_clips_colours_and_the_usual_token() -> None:
    model = Mllama(Metadata(KEYS, "file"))
    assert (model.config.image_mean, model.config.image_std) == (MEAN, DEVIATION)
    assert model.image_token == 2
    assert model.picture_cells == 4 * 5


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mllama.block_count", 1 << 40),
        ("mllama.attention.head_count_kv", 3),
        ("mllama.attention.head_count", 3),
        ("mllama.attention.cross_attention_layers", []),
        ("mllama.attention.cross_attention_layers", [3]),
        ("mllama.rope.dimension_count", 6),
        ("mllama.rope.scaling.type", "yarn"),
        ("mllama.vision.block_count", 1 << 40),
        ("mllama.vision.attention.head_count", 3),
        ("mllama.vision.num_channels", 4),
        ("mllama.vision.patch_size", 5),
        ("mllama.vision.max_num_tiles", 1 << 20),
        ("mllama.vision.intermediate_layers_indices", [2]),
        ("mllama.vision.intermediate_layers_indices", []),
        ("mllama.vision.image_mean", [0.5, 0.5]),
        ("mllama.vision.image_std", [0.5, 0.5, 0.0]),
        ("ollamax.mllama.image_token_id", 3),
        ("tokenizer.ggml.tokens", ["a", "b"]),
    ],
)
def test_keys_that_contradict_each_other_are_named(key: str, value: object) -> None:
    with pytest.raises((ArchitectureError, GGUFError)) as caught:
        Mllama(Metadata({**KEYS, key: value}, "file"))
    assert str(caught.value).startswith("file")
    assert "\n" not in str(caught.value)
