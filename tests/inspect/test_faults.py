"""Faults planted in a llama-like model: compare names the layer and the tensor where each begins."""

import itertools
import re
from pathlib import Path

import faulty_llama
import numpy as np
import pytest
from random_checkpoint import LAYERS, SHAPES, save_random_checkpoint
from safetensors.numpy import load_file, save_file

from ollamax.cli.main import main
from ollamax.plugins import get_registry
from ollamax.testing.byte_level import LLAMA3_SPLIT
from ollamax_llama.convert import LlamaConverter

BIASED = [name for name in SHAPES if "proj" in name and "mlp" not in name]
TOKENS = "5,17,200,9,33,81"
FAULTS = {
    "Plain": None,
    "WrongPairing": "query",
    "SwappedGateAndUp": "ffn_down.input",
    "MissingNorm": "ffn_norm",
    "MissingBias": "attn_v",
    "TransposedWeight": "attn_output",
    "WrongEpsilon": "ffn_norm",
    "MissingScale": "attention",
    "WrongHeadCount": "attention",
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A llama with biases in its attention, and with grouped heads."""
    directory = tmp_path_factory.mktemp("faults") / "hf"
    save_random_checkpoint(directory, "Llama", LLAMA3_SPLIT, attention_bias=True)
    file, random = directory / "model.safetensors", np.random.default_rng(1)
    tensors = load_file(file)
    for name in tensors:
        # The residuals of trained models begin as small as this; that is where an epsilon tells.
        if any(part in name for part in ("embed", "o_proj", "down_proj")):
            tensors[name] *= np.float32(0.02)
    for layer, name in itertools.product(range(LAYERS), BIASED):
        bias = random.normal(size=SHAPES[name][0], scale=0.02)
        tensors[f"model.layers.{layer}.{name.replace('weight', 'bias')}"] = bias.astype(np.float32)
    save_file(tensors, file)
    return directory


@pytest.fixture(scope="module")
def reference(checkpoint: Path) -> Path:
    """What transformers computes from it."""
    directory = checkpoint.parent / "trace"
    assert main(["trace", str(checkpoint), "--reference", "--tokens", TOKENS, "--save", str(directory)]) == 0
    return directory


@pytest.mark.reference
@pytest.mark.parametrize("layer", [0, LAYERS - 1])
@pytest.mark.parametrize("fault", FAULTS)
def test_the_first_tensor_that_departs_is_where_the_fault_is(
    checkpoint, reference, backend, monkeypatch, capsys, fault, layer
):
    model = faulty_llama.with_fault(getattr(faulty_llama, fault), layer)
    monkeypatch.setitem(get_registry().architectures, "llama", model)
    status = main(["compare", str(checkpoint), "--reference", str(reference), "--backend", backend])
    shown = capsys.readouterr()
    if FAULTS[fault] is None:
        assert (status, shown.err) == (0, "")
        return
    assert status == 1
    assert shown.err.count("\n") == 1
    found = re.match(r"Error: (\S+) is the first tensor that departs on (\w+) beside transformers: ", shown.err)
    assert found
    assert found.groups() == (f"blk.{layer}.{FAULTS[fault]}", backend)


class Unordered(LlamaConverter):
    """Leaves the rows of q and k as transformers has them."""

    def transforms(self, name):
        return False


class Swapped(LlamaConverter):
    """Calls the gate up, and up the gate."""

    rename = (
        (r"model\.layers\.([0-9]+)\.mlp\.gate_proj\.", r"blk.\1.ffn_up."),
        (r"model\.layers\.([0-9]+)\.mlp\.up_proj\.", r"blk.\1.ffn_gate."),
        *LlamaConverter.rename,
    )


@pytest.mark.reference
@pytest.mark.parametrize(("converter", "tensor"), [(Unordered, "query"), (Swapped, "ffn_down.input")])
def test_a_fault_of_the_converter_is_found_too(checkpoint, monkeypatch, capsys, converter, tensor):
    monkeypatch.setitem(get_registry().converters, "LlamaForCausalLM", converter)
    arguments = ["compare", str(checkpoint), "--reference", str(checkpoint), "--tokens", TOKENS, "--backend", "cpu"]
    assert main(arguments) == 1
    assert capsys.readouterr().err.startswith(f"Error: blk.0.{tensor} is the first tensor that departs ")
