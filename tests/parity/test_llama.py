"""Llama against transformers: logits, greedy tokens, batches, sliding."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers_reference import IDS, assert_close, greedy_tokens, reference_logits

import ollamax

pytestmark = pytest.mark.reference

Checkpoint = Callable[..., Path]

LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "grouped-heads": {},
    "one-key-head": {"num_key_value_heads": 1},
    "every-head": {"num_key_value_heads": 4},
    "tied": {"tie_word_embeddings": True},
    "wide-heads": {"head_dim": 32},
    "narrow-heads": {"head_dim": 8},
    "biases": {"attention_bias": True, "mlp_bias": True},
    "linear-rope": {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}},
    "llama3-rope": {"rope_parameters": LLAMA3_ROPE},
    "other-theta-and-eps": {
        "rope_parameters": {"rope_type": "default", "rope_theta": 1234.0},
        "rms_norm_eps": 1e-3,
    },
}


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_equal(backend: str, name: str, llama_checkpoint: Checkpoint) -> None:
    directory = llama_checkpoint(**CONFIGS[name])
    with ollamax.load(directory, backend=backend) as model:
        assert_close(model.logits(IDS), reference_logits(directory, IDS))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("shard", [None, "100KB"])
def test_checkpoint_types_and_shards(dtype: str, shard: str | None, llama_checkpoint: Checkpoint) -> None:
    directory = llama_checkpoint(dtype=dtype, shard=shard)
    assert len(list(directory.glob("*.safetensors"))) > 1 or shard is None
    # Other backends round what float16 weights are multiplied with to float16, too.
    with ollamax.load(directory, backend="cpu") as model:
        assert_close(model.logits(IDS), reference_logits(directory, IDS))


@pytest.mark.parametrize("name", ["grouped-heads", "tied", "llama3-rope"])
def test_same_greedy_tokens(backend: str, name: str, llama_checkpoint: Checkpoint) -> None:
    directory = llama_checkpoint(seed=3, **CONFIGS[name])
    expected = greedy_tokens(directory, IDS[:12])
    with ollamax.load(directory, backend=backend) as model:
        chunks = list(model.generate(IDS[:12], max_tokens=32, temperature=0))
    assert [chunk.token for chunk in chunks if chunk.token is not None] == expected
    assert len(expected) > 4


@pytest.mark.parametrize("batch", [1, 7, 32, 256])
def test_prompt_in_batches_equals_prompt_at_once(backend: str, batch: int, llama_checkpoint: Checkpoint) -> None:
    directory = llama_checkpoint()
    with ollamax.load(directory, num_batch=batch, backend=backend) as model:
        assert_close(model.logits(IDS), reference_logits(directory, IDS))


def test_logits_equal_far_into_the_context(backend: str, llama_checkpoint: Checkpoint) -> None:
    # Large random weights magnify every rounding of an angle.
    directory = llama_checkpoint(hidden_size=128, num_hidden_layers=4, max_position_embeddings=2048)
    ids = np.random.default_rng(0).integers(2, 280, 2048).tolist()
    with ollamax.load(directory, backend=backend) as model:
        assert_close(model.logits(ids), reference_logits(directory, ids))
