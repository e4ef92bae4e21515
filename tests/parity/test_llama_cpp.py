"""llama.cpp opens what was converted, and computes the same ids, logits and greedy tokens from it.

Its products of F16 weights round the activations to F16, and those of Q8_0 to 8 bits: only F32 is exact.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_checkpoint import save_random_checkpoint

import ollamax
from ollamax.engine.create import create
from ollamax.modelfile import Modelfile
from ollamax.testing.byte_level import LLAMA3_SPLIT, QWEN2_SPLIT

pytestmark = pytest.mark.llama_cpp

IDS = np.random.default_rng(0).integers(3, 280, 100).tolist()
ROPE = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("Llama", LLAMA3_SPLIT, {}),
    "llama-tied": ("Llama", LLAMA3_SPLIT, {"tied": True}),
    "llama-sentencepiece": ("Llama", "spm", {}),
    "llama-scaled-rope": (
        "Llama",
        LLAMA3_SPLIT,
        {"rope_theta": 5e5, "rope_scaling": ROPE | {"original_max_position_embeddings": 64}},
    ),
    "qwen2": ("Qwen2", QWEN2_SPLIT, {}),
    "qwen2-tied": ("Qwen2", QWEN2_SPLIT, {"tied": True}),
}
TEXTS = [
    "",
    "the cat sat on the mat",
    "  spaces   and\n\nlines\t\r\n it's 12345 I'LL",
    "Der Bär läuft über 🦙 我们",
    "<|begin_of_text|>the cat<|end_of_text|> ran",
    "<s>the cat</s> ran",
]
Made = Callable[..., Path]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """The GGUF file that ``create`` makes of a random checkpoint."""
    monkeypatch.setenv("OLLAMAX_MODELS", str(tmp_path / "store"))

    def make(name: str, quantize: str | None = None) -> Path:
        family, tokenizer, changes = MODELS[name]
        directory = save_random_checkpoint(tmp_path / name, family, tokenizer, **changes)
        create("made", Modelfile(from_=str(directory)), tmp_path, quantize)
        return max((tmp_path / "store" / "blobs").iterdir(), key=lambda path: path.stat().st_size)

    return make


class LlamaCpp:
    """The file in llama.cpp, on one thread and with a float32 cache."""

    def __init__(self, path: Path) -> None:
        import llama_cpp

        self._model = llama_cpp.Llama(
            str(path),
            n_ctx=256,
            n_gpu_layers=0,
            n_threads=1,
            n_threads_batch=1,
            logits_all=True,
            type_k=llama_cpp.GGML_TYPE_F32,
            type_v=llama_cpp.GGML_TYPE_F32,
            flash_attn=False,
            verbose=False,
        )

    def encode(self, text: str, add_bos: bool) -> list[int]:
        return list(self._model.tokenize(text.encode(), add_bos=add_bos, special=True))

    def logits(self, ids: list[int]) -> np.ndarray:
        self._model.reset()
        self._model.eval(ids)
        return self._model.scores[: len(ids)].copy()

    def greedy(self, ids: list[int], count: int) -> Iterator[int]:
        self._model.reset()
        for _ in range(count):
            self._model.eval(ids)
            ids = [int(self._model.scores[self._model.n_tokens - 1].argmax())]
            yield ids[0]

    def close(self) -> None:
        self._model.close()


@pytest.fixture
def open_theirs() -> Iterator[Callable[[Path], LlamaCpp]]:
    opened: list[LlamaCpp] = []

    def open_file(path: Path) -> LlamaCpp:
        opened.append(LlamaCpp(path))
        return opened[-1]

    yield open_file
    for model in opened:
        model.close()


def share(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference as a share of the largest logit."""
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


# Measured: 2e-6, and 2e-3 for what F16 activations lose.
@pytest.mark.parametrize(("quantize", "tolerance"), [(None, 2e-5), ("F16", 5e-3)], ids=["F32", "F16"])
@pytest.mark.parametrize("name", MODELS)
def test_logits(name: str, quantize: str | None, tolerance: float, made: Made, open_theirs: Any) -> None:
    path = made(name, quantize)
    with ollamax.load(path, backend="cpu") as model:
        assert share(model.logits(IDS), open_theirs(path).logits(IDS)) < tolerance


@pytest.mark.parametrize("name", MODELS)
def test_token_ids(name: str, made: Made, open_theirs: Any) -> None:
    path = made(name)
    theirs = open_theirs(path)
    with ollamax.load(path, backend="cpu") as model:
        for text in TEXTS:
            assert model.tokenizer.encode(text) == theirs.encode(text, add_bos=True), text
            assert model.tokenizer.encode(text, add_bos=False) == theirs.encode(text, add_bos=False), text


@pytest.mark.parametrize("name", MODELS)
def test_greedy_tokens(name: str, made: Made, open_theirs: Any) -> None:
    path = made(name)
    expected = list(open_theirs(path).greedy(IDS[:12], 32))
    with ollamax.load(path, backend="cpu") as model:
        chunks = list(model.generate(IDS[:12], max_tokens=32, temperature=0))
        ends = [at for at, token in enumerate(expected) if token in model.tokenizer.end_ids]
    tokens = [chunk.token for chunk in chunks if chunk.token is not None]
    assert tokens == expected[: ends[0] if ends else None]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=-1, keepdims=True)
    return np.asarray(wide - np.log(np.exp(wide).sum(axis=-1, keepdims=True)))


def test_the_trained_demo(open_theirs: Any) -> None:
    with ollamax.load("demo", backend="cpu") as model:
        theirs = open_theirs(Path(model.modelfile.from_))
        prompt = model.template.render([ollamax.types.Message("user", "Tell me a story about a fox")])
        ids = model.tokenizer.encode(prompt, add_bos=False)
        assert ids == theirs.encode(prompt, add_bos=False)
        told = model.generate(ids, max_tokens=200, temperature=0)
        ids += [chunk.token for chunk in told if chunk.token is not None]
        ours, others = model.logits(ids), theirs.logits(ids)
    expected, found = log_softmax(ours), log_softmax(others)
    divergence = (np.exp(expected) * (expected - found)).sum(axis=-1).mean()
    same = (ours.argmax(axis=-1) == others.argmax(axis=-1)).mean()
    assert len(ids) > 100
    # Measured: 3e-5 nats, and the same likeliest token after each of 211.
    assert divergence < 2e-4
    assert same > 0.98
