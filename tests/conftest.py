"""Checkpoints that transformers makes: random weights, and a small byte-level tokenizer."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from random_mllama import write_random_mllama

from ollamax.testing.byte_level import LLAMA3_SPLIT, QWEN2_SPLIT, save_byte_level

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # some tests import onnxruntime themselves

Checkpoint = Callable[..., Path]


@pytest.fixture(scope="session", params=["cpu", "ggml", "metal", "onnx"])
def backend(request: pytest.FixtureRequest) -> str:
    """The name of each backend of the checkout."""
    return str(request.param)


def save_random(
    family: str,
    directory: Path,
    pattern: str,
    *,
    seed: int = 0,
    dtype: str = "float32",
    shard: str | None = None,
    **changes: Any,
) -> Path:
    """Write a random ``{family}ForCausalLM`` and its tokenizer; ``changes`` are of its config."""
    import torch
    import transformers

    directory.mkdir()
    config = {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "vocab_size": save_byte_level(directory, pattern),
        "bos_token_id": 0,
        "eos_token_id": 1,
        "initializer_range": 0.2,
        **changes,
    }
    torch.manual_seed(seed)
    model = getattr(transformers, f"{family}ForCausalLM")(getattr(transformers, f"{family}Config")(**config))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):  # transformers starts biases at zero, which would hide a lost one
            torch.nn.init.normal_(parameter, std=0.2)
    model = model.to(getattr(torch, dtype)).eval()
    model.save_pretrained(directory, **({"max_shard_size": shard} if shard else {}))
    return directory


@pytest.fixture
def llama_checkpoint(tmp_path: Path) -> Checkpoint:
    """Make a random LlamaForCausalLM directory: ``llama_checkpoint(dtype="bfloat16", **config)``."""

    def make(*, seed: int = 0, **changes: Any) -> Path:
        return save_random("Llama", tmp_path / f"llama-{seed}", LLAMA3_SPLIT, seed=seed, **changes)

    return make


@pytest.fixture
def qwen2_checkpoint(tmp_path: Path) -> Checkpoint:
    """Make a random Qwen2ForCausalLM directory, likewise."""

    def make(*, seed: int = 0, **changes: Any) -> Path:
        return save_random("Qwen2", tmp_path / f"qwen2-{seed}", QWEN2_SPLIT, seed=seed, **changes)

    return make


CHAT_WITH_PICTURES = """{{ bos_token }}{% for turn in messages %}[{{ turn.role }}]{% if turn.content is string %}
{{- turn.content }}{% else %}{% for part in turn.content %}{% if part.type == "image" %}<|image|>{% else %}
{{- part.text }}{% endif %}{% endfor %}{% endif %}{% endfor %}[assistant]"""


def save_random_mllama(directory: Path, dtype: str = "float32", **changes: Any) -> Path:
    """Write a random MllamaForConditionalGeneration with tokenizer, chat template and image processor.

    ``changes`` are those of ``write_random_mllama``.
    """
    import transformers

    vocab = save_byte_level(directory, LLAMA3_SPLIT)
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|image|>"]})
    tokenizer.chat_template = CHAT_WITH_PICTURES
    tokenizer.save_pretrained(directory)
    return write_random_mllama(directory, vocab, dtype=dtype, **changes)


@pytest.fixture(scope="session")
def mllama_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a random mllama."""
    return save_random_mllama(tmp_path_factory.mktemp("mllama"))
