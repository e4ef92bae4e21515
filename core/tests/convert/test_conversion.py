"""A checkpoint seen through a small converter of our own."""

import gguf
import numpy as np
import pytest

from ollamax.convert.base import Converter, Extra
from ollamax.convert.checkpoint import Checkpoint
from ollamax.convert.conversion import Conversion
from ollamax.errors import ConversionError
from ollamax.gguf import open_gguf
from ollamax.gguf.writer import write_gguf
from ollamax.ml.dtype import dequantize
from ollamax.types import DType

from .conftest import bf16

CONFIG = {"architectures": ["ToyForCausalLM"], "layers": 1}
EMBED = np.arange(8, dtype=np.float32).reshape(4, 2)
UP = np.arange(6, dtype=np.float32).reshape(3, 2)


class Toy(Converter):
    checkpoints = ("ToyForCausalLM",)
    architecture = "toy"
    rename = (
        (r"embed\.", "token_embd."),
        (r"layers\.(\d+)\.up\.", r"blk.\1.ffn_up."),
        (r"layers\.(\d+)\.norm\.", r"blk.\1.attn_norm."),
        (r"layers\.", "never.reached."),
    )
    ignore = (r".*\.inv_freq$",)

    def hyper_parameters(self):
        return {"toy.block_count": self.config.size("layers")}

    def transforms(self, name):
        return name.endswith("ffn_up.weight")

    def transform(self, name, value):
        return value[::-1]

    def extras(self):
        return [Extra("rope_freqs.weight", np.array([1.0, 2.0], np.float32))]


@pytest.fixture
def convert(checkpoint_dir):
    def make(tensors, converter=Toy, tokenizer=None):
        checkpoint = Checkpoint(checkpoint_dir(CONFIG, model=tensors))
        return Conversion(checkpoint, converter(checkpoint.config), tokenizer or {})

    return make


GOOD = {
    "embed.weight": ("BF16", (4, 2), bf16(EMBED)),
    "layers.0.up.weight": ("BF16", (3, 2), bf16(UP)),
    "layers.0.up.bias": ("F16", (3,), np.array([1, 2, 3], np.float16).tobytes()),
    "layers.0.norm.weight": ("BF16", (2,), bf16([1.5, 2.5])),
    "layers.0.rotary.inv_freq": ("I64", (1,), bytes(8)),
}


def test_names_types_and_bytes(convert):
    source = convert(GOOD)
    assert {name: (info.dtype, info.shape) for name, info in source.tensors.items()} == {
        "token_embd.weight": (DType.BF16, (4, 2)),
        "blk.0.ffn_up.weight": (DType.BF16, (3, 2)),
        "blk.0.ffn_up.bias": (DType.F32, (3,)),
        "blk.0.attn_norm.weight": (DType.F32, (2,)),
        "rope_freqs.weight": (DType.F32, (2,)),
    }
    assert source.tensor_bytes("token_embd.weight").tobytes() == bf16(EMBED)
    assert source.tensor_bytes("blk.0.ffn_up.weight").tobytes() == bf16(UP[::-1])
    assert source.tensor_bytes("blk.0.ffn_up.bias").view(np.float32).tolist() == [1, 2, 3]
    assert source.tensor_bytes("blk.0.attn_norm.weight").view(np.float32).tolist() == [1.5, 2.5]
    assert source.tensor_bytes("rope_freqs.weight").view(np.float32).tolist() == [1, 2]


def test_what_does_not_change_is_a_view_of_the_file(convert):
    source = convert(GOOD)
    first, second = source.tensor_bytes("token_embd.weight"), source.tensor_bytes("token_embd.weight")
    assert np.shares_memory(first, second)


def test_metadata(convert):
    source = convert(GOOD, tokenizer={"tokenizer.ggml.model": "letters"})
    assert source.metadata == {
        "general.architecture": "toy",
        "general.type": "model",
        "general.name": "toy-model",
        "general.file_type": gguf.LlamaFileType.MOSTLY_BF16,
        "general.quantization_version": gguf.GGML_QUANT_VERSION,
        "toy.block_count": 1,
        "tokenizer.ggml.model": "letters",
    }


def test_the_file_reads_back(convert, tmp_path):
    source = convert(GOOD)
    path = tmp_path / "toy.gguf"
    write_gguf(path, source.metadata, source.tensors.values(), source.tensor_bytes)
    with open_gguf(path) as file:
        assert dict(file.metadata) == source.metadata
        assert file.tensors == source.tensors
        for name in source.tensors:
            assert file.tensor_bytes(name).tobytes() == source.tensor_bytes(name).tobytes()


def test_all_bad_tensors_are_reported_at_once(convert):
    bad = {
        "head.weight": UP,
        "pos.weight": UP,
        "layers.0.up.scale": ("F8_E4M3", (2,), bytes(2)),
        "layers.0.norm.ids": ("I64", (1,), bytes(8)),
    }
    with pytest.raises(ConversionError) as caught:
        convert({**GOOD, **bad})
    message = str(caught.value)
    assert "4 tensors" in message
    assert all(name in message for name in bad)
    assert "type F8_E4M3; F32, F16 and BF16 are supported" in message
    assert "\n" not in message


class Clash(Toy):
    rename = ((r"embed\.|layers\.0\.up\.", "same."), (r"layers\.0\.norm\.weight", "rope_freqs.weight"))


def test_two_tensors_with_one_name(convert):
    with pytest.raises(ConversionError) as caught:
        convert(GOOD, Clash)
    assert "layers.0.up.weight (becomes same.weight, as does embed.weight)" in str(caught.value)
    with pytest.raises(ConversionError, match=r"layers.0.norm.weight has the name rope_freqs.weight"):
        convert({name: value for name, value in GOOD.items() if ".up." not in name}, Clash)


class Strict(Toy):
    def shapes(self):
        return {
            "token_embd.weight": (4, 2),
            "blk.0.ffn_up.weight": (2, 3),
            "blk.0.attn_norm.weight": (2,),
            "blk.1.ffn_up.weight": (2, 3),
        }


def test_shapes_other_than_those_of_the_config_are_reported_at_once(convert):
    with pytest.raises(ConversionError) as caught:
        convert(GOOD, Strict)
    message = str(caught.value)
    assert "config.json and the weights disagree" in message
    assert "layers.0.up.weight is 3 x 2, not 2 x 3" in message
    assert "layers.0.up.bias is not part of such a model" in message
    assert "blk.1.ffn_up.weight is missing (2 x 3)" in message
    assert "embed" not in message


class Reshaping(Toy):
    def transform(self, name, value):
        return value.reshape(-1)


def test_a_transform_keeps_the_shape(convert):
    source = convert(GOOD, Reshaping)
    with pytest.raises(ConversionError, match=r"layers.0.up.weight: transformed to \(6,\); expected \(3, 2\)"):
        source.tensor_bytes("blk.0.ffn_up.weight")


class Permuting(Toy):
    """Says that its transform only moves values, and notes what it was given."""

    def permutes(self, name):
        return self.transforms(name)

    def transform(self, name, value):
        self.given = value.dtype
        return value[::-1]


@pytest.mark.parametrize(
    ("dtype", "data", "given"),
    [
        ("BF16", bf16(UP), np.uint16),
        ("F16", UP.astype(np.float16).tobytes(), np.uint16),
        ("F32", UP.tobytes(), np.uint32),
    ],
)
def test_values_that_only_move_are_not_decoded(checkpoint_dir, dtype, data, given):
    checkpoint = Checkpoint(checkpoint_dir(CONFIG, model={**GOOD, "layers.0.up.weight": (dtype, (3, 2), data)}))
    converter = Permuting(checkpoint.config)
    moved = Conversion(checkpoint, converter, {}).tensor_bytes("blk.0.ffn_up.weight")
    assert converter.given == given
    assert moved.tobytes() == Conversion(checkpoint, Toy({**CONFIG}), {}).tensor_bytes("blk.0.ffn_up.weight").tobytes()
    width = len(data) // 3
    assert moved.tobytes() == data[2 * width :] + data[width : 2 * width] + data[:width]


# Fused tensors --------------------------------------------------------------------------------------------------------


class Fused(Toy):
    """Q and k in one tensor, of which q's rows are reversed."""

    rename = (*Toy.rename[:1], (r"layers\.(\d+)\.qk\.", r"blk.\1.attn_qk."))

    def splits(self):
        return {f"blk.0.attn_qk.{leaf}": {f"blk.0.attn_q.{leaf}": 2, f"blk.0.attn_k.{leaf}": 3} for leaf in LEAVES}

    def transforms(self, name):
        return name.startswith("blk.0.attn_q.")

    def shapes(self):
        heights = {"attn_q": 2, "attn_k": 3}
        return {f"blk.0.{name}.weight": (rows, 2) for name, rows in heights.items()}


class FusedWithBias(Fused):
    def shapes(self):
        return {}


LEAVES = ("weight", "bias")
QK = np.arange(10, dtype=np.float32).reshape(5, 2)


@pytest.mark.parametrize(("stored", "data"), [("BF16", bf16(QK)), ("F32", QK.tobytes())])
def test_a_fused_tensor_becomes_its_parts(convert, stored, data):
    source = convert({"layers.0.qk.weight": (stored, (5, 2), data)}, Fused)
    values = {
        name: dequantize(source.tensor_bytes(name), info.dtype, info.shape)
        for name, info in source.tensors.items()
        if name.startswith("blk.")
    }
    assert list(values) == ["blk.0.attn_q.weight", "blk.0.attn_k.weight"]
    np.testing.assert_array_equal(values["blk.0.attn_q.weight"], QK[1::-1])
    np.testing.assert_array_equal(values["blk.0.attn_k.weight"], QK[2:])


def test_a_fused_bias_becomes_its_parts(convert):
    bias = np.arange(5, dtype=np.float16)
    source = convert({"layers.0.qk.bias": ("F16", (5,), bias.tobytes())}, FusedWithBias)
    assert source.tensor_bytes("blk.0.attn_k.bias").view("<f4").tolist() == [2, 3, 4]
    assert source.tensor_bytes("blk.0.attn_q.bias").view("<f4").tolist() == [1, 0]


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"layers.0.qk.weight": ((6, 2))}, "qk.weight is 6 x 2, expected 5 rows for blk.0.attn_q.weight, blk.0.attn_k"),
        ({"layers.0.qk.weight": ((5, 1))}, "qk.weight is 2 x 1, not 2 x 2; layers.0.qk.weight is 3 x 1, not 3 x 2"),
        ({"layers.0.qk.weight": (())}, "qk.weight is a scalar, expected 5 rows"),
        ({"layers.0.qk.weight": ((5, 2)), "layers.0.qk.bias": ((5,))}, "layers.0.qk.bias is not part of such a model"),
        ({"embed.weight": (4, 2)}, "blk.0.attn_k.weight is missing (3 x 2); blk.0.attn_q.weight is missing"),
    ],
)
def test_a_fused_tensor_that_does_not_fit_is_named(convert, tensors, message):
    stored = {name: ("F32", shape, bytes(4 * int(np.prod(shape)))) for name, shape in tensors.items()}
    with pytest.raises(ConversionError) as caught:
        convert(stored, Fused)
    assert message in str(caught.value)
