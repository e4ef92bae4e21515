"""Whole models on every backend that is here: the same logits and the same text as on the cpu backend."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_mllama import PICTURES

import ollamax
from ollamax.engine.model import Model
from ollamax.gguf import open_gguf, write_gguf
from ollamax.ml.dtype import dequantize, quantize
from ollamax.types import DType, TensorInfo

Checkpoint = Callable[..., Path]

IDS = [5, 17, 200, 33, 91, 64, 12, 250, 8, 77, 131, 140, 3, 99, 21, 45, 260, 7]


def share(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, as a share of the largest logit."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def compare(path: Path, backend: str, most: float, **options: Any) -> None:
    with ollamax.load(path, backend=backend, **options) as ours, ollamax.load(path, backend="cpu", **options) as cpu:
        assert share(ours.logits(IDS), cpu.logits(IDS)) <= most


def text(model: Model) -> str:
    return "".join(chunk.text for chunk in model.generate("Once upon a time", max_tokens=200, temperature=0))


def test_the_demo_model_tells_the_same_story(demo: Path, backend: str) -> None:
    with ollamax.load(demo, backend=backend) as ours, ollamax.load(demo, backend="cpu") as cpu:
        story = text(ours)
        assert len(story) > 300
        assert story == text(cpu)
        ids = cpu.tokenizer.encode(story)
        assert share(ours.logits(ids), cpu.logits(ids)) <= 5e-4


@pytest.mark.reference
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch", [4, 512])
def test_random_llamas_agree(llama_checkpoint: Checkpoint, backend: str, batch: int, threads: int) -> None:
    options = {} if backend == "metal" else {"num_thread": threads}  # MLX does not let one choose
    compare(llama_checkpoint(), backend, 5e-4, num_batch=batch, **options)


@pytest.mark.reference
@pytest.mark.parametrize("windows", [{}, {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1}])
def test_random_qwen2_agree(qwen2_checkpoint: Checkpoint, backend: str, windows: dict[str, Any]) -> None:
    compare(qwen2_checkpoint(**windows), backend, 5e-4)


@pytest.mark.reference
def test_a_random_mllama_sees_the_same(mllama_checkpoint: Path, backend: str) -> None:
    with (
        ollamax.load(mllama_checkpoint, backend=backend, num_images=2) as ours,
        ollamax.load(mllama_checkpoint, backend="cpu", num_images=2) as cpu,
    ):
        assert ours._pictures is not None
        token = ours._pictures.token
        later = [*IDS[:4], token, *IDS, token, 9]
        for ids, names in ((IDS, []), ([token, *IDS], ["wide"]), (later, ["wide", "small"])):
            images = [PICTURES[name] for name in names]
            # Tokens that the model only reads have no logit.
            found, expected = (model.logits(ids, images)[:, :280] for model in (ours, cpu))
            assert share(found, expected) <= 5e-4


@pytest.mark.parametrize("dtype", ["q8_0", "q4_0", "q4_1", "q5_0", "f16", "bf16"])
def test_quantised_stories_are_close(demo: Path, backend: str, dtype: str, tmp_path: Path) -> None:
    """Products round activations to 8 bits, or to the type of a float weight: compared by what the model would say."""
    path = quantised(demo, DType[dtype.upper()], tmp_path / "quantised.gguf")
    with ollamax.load(path, backend=backend) as ours, ollamax.load(path, backend="cpu") as cpu:
        ids = cpu.tokenizer.encode(text(cpu))
        found, expected = (log_softmax(model.logits(ids)) for model in (ours, cpu))
    divergence = (np.exp(expected) * (expected - found)).sum(axis=-1)
    assert divergence.mean() <= 2e-4
    assert (found.argmax(axis=-1) == expected.argmax(axis=-1)).mean() >= 0.98


def quantised(file: Path, kind: DType, path: Path) -> Path:
    """Write the matrices of ``file`` as ``kind``."""
    with open_gguf(file) as source:
        types = {
            name: kind if len(info.shape) == 2 and info.shape[1] % kind.block_size == 0 else DType.F32
            for name, info in source.tensors.items()
        }
        assert list(types.values()).count(kind) > 10
        infos = [TensorInfo(info.name, types[info.name], info.shape) for info in source.tensors.values()]

        def values(name: str) -> Any:
            info = source.tensors[name]
            return quantize(dequantize(source.tensor_bytes(name), info.dtype, info.shape), types[name])

        write_gguf(path, source.metadata, infos, values)
    return path


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))
