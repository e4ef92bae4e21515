"""Llama against transformers: logits, greedy tokens, batches, sliding."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ollamax

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

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
IDS = [0, *np.random.default_rng(0).integers(2, 280, 99).tolist()]


def reference_logits(directory: Path, ids: list[int]) -> np.ndarray:
    """transformers' logits in float32 arithmetic, whatever the checkpoint's type."""
    model = transformers.LlamaForCausalLM.from_pretrained(directory, dtype=torch.float32)
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].numpy()


def assert_close(actual: np.ndarray, expected: np.ndarray, share: float = 2e-4) -> None:
    assert actual.shape == expected.shape
    assert actual.dtype == np.float32
    assert np.abs(actual - expected).max() <= share * np.abs(expected).max()


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_equal(name: str, llama_checkpoint: Checkpoint) -> None:
    directory = llama_checkpoint(**CONFIGS[name])
    with ollamax.load(directory) as model:
        assert_close(model.logits(IDS), reference_logits(directory, IDS))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("shard", [None, "100KB"])
def test_checkpoint_types_and_shards(dtype: str, shard: str | None, llama_checkpoint: Checkpoint) -> None:
    directory = llama_checkpoint(dtype=dtype, shard=shard)
    assert len(list(directory.glob("*.safetensors"))) > 1 or shard is None
    with ollamax.load(directory) as model:
        assert_close(model.logits(IDS), reference_logits(directory, IDS))


@pytest.mark.parametrize("name", ["grouped-heads", "tied", "llama3-rope"])
def test_same_greedy_tokens(name: str, llama_checkpoint: Checkpoint) -> None:
    directory = llama_checkpoint(seed=3, **CONFIGS[name])
    reference = transformers.LlamaForCausalLM.from_pretrained(directory, dtype=torch.float32)
    config = transformers.GenerationConfig(max_new_tokens=32, do_sample=False, eos_token_id=None, pad_token_id=1)
    with torch.no_grad():
        expected = reference.generate(torch.tensor([IDS[:12]]), generation_config=config)[0, 12:].tolist()
    with ollamax.load(directory) as model:
        chunks = list(model.generate(IDS[:12], max_tokens=32, temperature=0))
    tokens = [chunk.token for chunk in chunks if chunk.token is not None]
    stop = expected.index(1) if 1 in expected else 32
    assert tokens == expected[:stop]
    assert len(tokens) > 4


@pytest.mark.parametrize("batch", [1, 7, 32, 256])
def test_prompt_in_batches_equals_prompt_at_once(batch: int, llama_checkpoint: Checkpoint) -> None:
    directory = llama_checkpoint()
    with ollamax.load(directory, num_batch=batch) as model:
        assert_close(model.logits(IDS), reference_logits(directory, IDS))
