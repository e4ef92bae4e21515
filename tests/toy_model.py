"""A model of one tensor with its converter and files, for tests of `ollamax create`."""

from pathlib import Path

import numpy as np
import tokenizers

from ollamax.arch import Architecture
from ollamax.cli.main import main
from ollamax.convert.base import Converter
from ollamax.gguf import open_gguf
from ollamax.gguf.writer import write_gguf
from ollamax.ml import nn
from ollamax.ml.dtype import quantize
from ollamax.types import DType, TensorInfo

VOCAB, DIM = 256, 64


class Toy(Architecture):
    name = "toy"

    def __init__(self, config):
        self.token_embd, self.output_norm, self.output = nn.Embedding(), nn.RMSNorm(1e-5), nn.Linear(alt="token_embd")

    def cache(self, size):
        raise NotImplementedError

    def forward(self, batch, cache):
        raise NotImplementedError

    def shift(self, layer, key, delta):
        raise NotImplementedError


class ToyConverter(Converter):
    checkpoints = ("ToyForCausalLM",)
    architecture = "toy"
    rename = ((r"embed\.", "token_embd."), (r"norm\.", "output_norm."))

    def hyper_parameters(self):
        return {"toy.context_length": 8}


class Stranger(ToyConverter):
    checkpoints = ("StrangerForCausalLM",)
    architecture = "stranger"


def embedding():
    return np.random.default_rng(0).standard_normal((VOCAB, DIM)).astype(np.float32)


METADATA = {
    "general.architecture": "toy",
    "general.file_type": 0,
    "toy.context_length": np.uint64(8),
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "gpt-2",
    "tokenizer.ggml.tokens": sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()),
    "tokenizer.ggml.token_type": np.ones(VOCAB, np.int32),
    "tokenizer.ggml.merges": [],
}


def save_gguf(path, dtype=DType.F32, tensors=("token_embd.weight",), **metadata):
    values = {"output_norm.weight": np.ones(DIM, np.float32), **dict.fromkeys(tensors, embedding())}
    infos = [TensorInfo(name, dtype if value.ndim > 1 else DType.F32, value.shape) for name, value in values.items()]
    kinds = {info.name: info.dtype for info in infos}
    changes = {key.replace("__", "."): value for key, value in metadata.items()}
    write_gguf(path, {**METADATA, **changes}, infos, lambda name: quantize(values[name], kinds[name]))
    return path


def run(work, text, *arguments, name="mine"):
    (work / "Modelfile").write_text(text)
    return main(["create", name, "-f", str(work / "Modelfile"), *arguments])


def blob(model):
    return open_gguf(model.model_path)


def tree(root):
    """Every file below ``root`` but the lock, with its content."""
    return {p.relative_to(root): p.read_bytes() for p in Path(root).rglob("*") if p.is_file() and p.name != "lock"}


def fails(capsys, status, expected, actual):
    shown = capsys.readouterr()
    assert actual == status
    assert shown.err.startswith("Error: ")
    assert shown.err.count("\n") == 1
    assert expected in shown.err
