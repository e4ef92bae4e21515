"""A registry that knows the toy model, a store, and folders to create from."""

import json

import numpy as np
import pytest
import safetensors.numpy
import tokenizers
from toy_model import DIM, VOCAB, Stranger, Toy, ToyConverter, embedding, run, save_gguf, tree

from ollamax.engine import create as create_module
from ollamax.plugins import Registry
from ollamax.store import Store
from ollamax.tokenizer.plugin import ollamax_tokenizers


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    registry = Registry(
        architectures={"toy": Toy},
        converters={"ToyForCausalLM": ToyConverter, "StrangerForCausalLM": Stranger},
        tokenizers=ollamax_tokenizers(),
    )
    monkeypatch.setattr(create_module, "get_registry", lambda: registry)
    monkeypatch.delenv("OLLAMAX_DEBUG", raising=False)
    return registry


@pytest.fixture
def store(monkeypatch, tmp_path):
    monkeypatch.setenv("OLLAMAX_MODELS", str(tmp_path / "models"))
    return Store()


@pytest.fixture
def work(tmp_path, store):
    """The directory of the Modelfile."""
    directory = tmp_path / "work"
    directory.mkdir()
    return directory


@pytest.fixture
def checkpoint(work):
    """A Hugging Face directory called ``hf`` with a byte-level tokenizer."""
    directory = work / "hf"
    directory.mkdir()
    config = {"architectures": ["ToyForCausalLM"], "vocab_size": VOCAB}
    (directory / "config.json").write_text(json.dumps(config))
    tensors = {"embed.weight": embedding(), "norm.weight": np.ones(DIM, np.float32)}
    safetensors.numpy.save_file(tensors, directory / "model.safetensors")
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE({text: i for i, text in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.save(str(directory / "tokenizer.json"))
    return directory


@pytest.fixture
def settled(work, store):
    """A store with a model ``mine``; the function checks that it has not changed."""
    assert run(work, f"FROM {save_gguf(work / 'settled.gguf')}\nSYSTEM First.") == 0
    before = tree(store.root)

    def check():
        assert tree(store.root) == before

    return check
