"""The benchmarks' models load, and their workers do what they are told; how fast is for the benchmarks to say."""

import sys
from pathlib import Path

import pytest
from random_llama import write_random_llama

import ollamax
from ollamax.convert.file_type import WRITABLE

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def random_models(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import random_models

    return random_models


@pytest.fixture
def make(random_models, tmp_path):
    """A model of a few thousand weights with the vocabulary of another."""
    write_random_llama(tmp_path / "vocabulary.gguf")

    def written(kind, family="llama"):
        shape = random_models.Shape(family, "vocabulary.gguf", 2, 256, 512, 4, 2, biases=family == "qwen2", context=256)
        return random_models.write_random_model(tmp_path / f"{kind}.gguf", shape, WRITABLE[kind], tmp_path)

    return written


@pytest.mark.parametrize(("kind", "family"), [("Q4_0", "llama"), ("Q4_K_M", "qwen2"), ("F16", "llama")])
def test_random_models_load(make, kind, family):
    with ollamax.load(make(kind, family)) as model:
        assert model.logits([1, 2, 3]).shape == (3, model.tokenizer.n_vocab)
        assert model.metadata["general.file_type"] == WRITABLE[kind].number


@pytest.mark.parametrize("backend", ["cpu", "ggml"])
def test_a_worker_does_all_kinds_of_work(make, random_models, backend):
    from engines.worker import Worker

    with Worker(sys.executable, "own.py", make("Q8_0"), threads=1, context=128, sequences=3, backend=backend) as worker:
        for work, *numbers in (("prompt", 20), ("decode", 3, 0), ("decode", 3, 17), ("parallel", 3, 2), ("prompt", 5)):
            assert worker.run(work, *numbers) > 0
        assert worker.since_start() > 0
        assert worker.close() > 10e6
