"""Checkpoints that transformers makes: random weights, and a small byte-level tokenizer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# The split of Llama 3's tokenizer.json, from its published file.
LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
SPECIAL = ("<|begin_of_text|>", "<|end_of_text|>")

Checkpoint = Callable[..., Path]


def save_tokenizer(directory: Path) -> int:
    """Write a tokenizer of all bytes and a few merges; returns the number of tokens."""
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    split = tokenizers.pre_tokenizers.Split(tokenizers.Regex(LLAMA3_SPLIT), "isolated")
    bytewise = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([split, bytewise])
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=318,
        special_tokens=list(SPECIAL),
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the cat sat on the mat and then the cat ran after the other cat"] * 4, trainer)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=SPECIAL[0], eos_token=SPECIAL[1])
    fast.save_pretrained(directory)
    return len(fast)


@pytest.fixture
def llama_checkpoint(tmp_path: Path) -> Checkpoint:
    """Make a random LlamaForCausalLM directory: ``llama_checkpoint(dtype="bfloat16", **config)``."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")

    def make(*, seed: int = 0, dtype: str = "float32", shard: str | None = None, **changes: Any) -> Path:
        directory = tmp_path / f"llama-{seed}"
        directory.mkdir()
        config = {
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 256,
            "vocab_size": save_tokenizer(directory),
            "bos_token_id": 0,
            "eos_token_id": 1,
            "initializer_range": 0.2,
            **changes,
        }
        torch.manual_seed(seed)
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**config))
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):  # transformers starts biases at zero, which would hide a lost one
                torch.nn.init.normal_(parameter, std=0.2)
        model = model.to(getattr(torch, dtype)).eval()
        model.save_pretrained(directory, **({"max_shard_size": shard} if shard else {}))
        return directory

    return make
