"""What ``create --quantize`` makes beside what llama.cpp's own quantize does: every tensor's type, and its bytes."""

import ctypes
from pathlib import Path

import numpy as np
import pytest

from ollamax.convert.file_type import WRITABLE, FileType
from ollamax.convert.mix import choose_types
from ollamax.convert.quantize import Quantized
from ollamax.gguf import open_gguf, write_gguf
from ollamax.plugins import get_registry
from ollamax.types import DType, TensorInfo

pytestmark = pytest.mark.llama_cpp

FEW = ("Q4_0", "Q2_K", "Q3_K_M", "Q4_K_S", "Q4_K_M", "Q5_K_M", "IQ4_XS", "TQ2_0")
MODELS = {
    "grouped": {"blocks": 16},
    "tied": {"blocks": 10, "heads": 4, "kv_heads": 4, "untied": False},
    "narrow": {"blocks": 9, "width": 288, "hidden": 96, "heads": 4, "family": "qwen2"},
    "odd": {"blocks": 3, "width": 80, "hidden": 48, "heads": 4},
    "experts": {"blocks": 9, "heads": 4, "kv_heads": 1, "experts": 8},
    "large": {"blocks": 80, "hidden": 256, "heads": 4, "kv_heads": 2},
}


def shapes(blocks, width, hidden, heads, kv_heads, untied, experts):
    keys = width // heads * kv_heads
    yield "token_embd.weight", (64, width)
    if untied:
        yield "output.weight", (64, width)
    yield "output_norm.weight", (width,)
    for block in range(blocks):
        parts = {"attn_norm": (width,), "ffn_norm": (width,), "attn_q": (width, width), "attn_output": (width, width)}
        parts |= {"attn_k": (keys, width), "attn_v": (keys, width)}
        if experts:
            parts |= {"ffn_gate_inp": (experts, width), "ffn_down_exps": (experts, width, hidden)}
            parts |= dict.fromkeys(("ffn_gate_exps", "ffn_up_exps"), (experts, hidden, width))
        else:
            parts |= {"ffn_down": (width, hidden), "ffn_gate": (hidden, width), "ffn_up": (hidden, width)}
        for name, shape in parts.items():
            yield f"blk.{block}.{name}.weight", shape


def write_model(
    path, blocks, width=256, hidden=256, heads=8, kv_heads=2, untied=True, family="llama", experts=0
) -> Path:
    """A model of random weights without a vocabulary, in F32."""
    found = dict(shapes(blocks, width, hidden, heads, kv_heads, untied, experts))
    keys = {
        "general.architecture": family,
        f"{family}.block_count": blocks,
        f"{family}.context_length": 64,
        f"{family}.embedding_length": width,
        f"{family}.feed_forward_length": hidden,
        f"{family}.attention.head_count": heads,
        f"{family}.attention.head_count_kv": kv_heads,
        f"{family}.attention.layer_norm_rms_epsilon": 1e-5,
        f"{family}.vocab_size": 64,
        "tokenizer.ggml.model": "no_vocab",
    }
    if experts:
        keys |= {f"{family}.expert_count": experts, f"{family}.expert_used_count": 2}
    random = np.random.default_rng(0)
    infos = [TensorInfo(name, DType.F32, shape) for name, shape in found.items()]
    write_gguf(
        path, keys, infos, lambda name: random.standard_normal(found[name], np.float32).view(np.uint8).reshape(-1)
    )
    return path


def llama_quantize(source: Path, kind: FileType, target: Path) -> Path:
    import llama_cpp

    options = llama_cpp.llama_model_quantize_default_params()
    options.ftype, options.nthread = kind.number, 2
    assert llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(options)) == 0
    return target


def types(tensors):
    return {name: info.dtype.name for name, info in tensors.items()}


@pytest.fixture(scope="module", autouse=True)
def quiet():
    import llama_cpp

    silence = llama_cpp.llama_log_callback(lambda *_: None)
    llama_cpp.llama_log_set(silence, None)
    yield
    llama_cpp.llama_log_set(llama_cpp.llama_log_callback(0), None)


@pytest.mark.parametrize("name", MODELS)
def test_every_tensor_gets_the_type_that_llama_cpp_gives_it(name, tmp_path):
    source = write_model(tmp_path / "f32.gguf", **MODELS[name])
    for kind in WRITABLE.values() if name == "grouped" else map(WRITABLE.__getitem__, FEW):
        target = llama_quantize(source, kind, tmp_path / "quantized.gguf")
        with open_gguf(source) as ours, open_gguf(target) as theirs:
            chosen = choose_types(kind, ours.tensors, ours.metadata, frozenset(DType))
            assert types(chosen) == types(theirs.tensors), kind.name
            assert theirs.metadata["general.file_type"] == kind.number


@pytest.mark.parametrize("kind", WRITABLE.values(), ids=lambda kind: kind.name)
def test_every_byte_is_the_one_that_llama_cpp_writes(kind, tmp_path):
    source = write_model(tmp_path / "f32.gguf", blocks=2)
    target = llama_quantize(source, kind, tmp_path / "quantized.gguf")
    with open_gguf(source) as plain, open_gguf(target) as theirs:
        ours = Quantized(plain, kind, get_registry().writers())
        for name in theirs.tensors:
            assert ours.tensor_bytes(name).tobytes() == theirs.tensor_bytes(name).tobytes(), name
