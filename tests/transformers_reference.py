"""What transformers computes from a checkpoint, in float32 arithmetic whatever the checkpoint's type."""

from pathlib import Path

import numpy as np

END = 1
IDS = [0, *np.random.default_rng(0).integers(2, 280, 99).tolist()]


def reference_logits(directory: Path, ids: list[int]) -> np.ndarray:
    """Logits after each of ``ids``: ``(len(ids), vocabulary)``."""
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].numpy()


def greedy_tokens(directory: Path, ids: list[int]) -> list[int]:
    """Up to 32 tokens that follow ``ids``, without the end token."""
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    config = transformers.GenerationConfig(max_new_tokens=32, do_sample=False, eos_token_id=None, pad_token_id=END)
    with torch.no_grad():
        tokens = model.generate(torch.tensor([ids]), generation_config=config)[0, len(ids) :].tolist()
    return tokens[: tokens.index(END)] if END in tokens else tokens


def assert_close(actual: np.ndarray, expected: np.ndarray, share: float = 2e-4) -> None:
    """``share`` is of the largest logit."""
    assert actual.shape == expected.shape
    assert actual.dtype == np.float32
    assert np.abs(actual - expected).max() <= share * np.abs(expected).max()
