"""The qwen2 keys of a GGUF file: rotation against transformers, windows, and what is refused."""

import numpy as np
import pytest

from ollamax.arch.binding import bind
from ollamax.errors import ArchitectureError, BindingError, GGUFError
from ollamax.gguf import Metadata
from ollamax.ml import tensor
from ollamax.ml.reference import rope_frequencies
from ollamax.types import DType, TensorInfo
from ollamax_qwen2.convert import Qwen2Converter
from ollamax_qwen2.model import Qwen2
from ollamax_qwen2.rope import read_rotation

# Qwen2.5-7B's sizes, with the layers of a small model.
CONFIG = {
    "vocab_size": 40,
    "hidden_size": 3584,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
}
KEYS = Qwen2Converter(CONFIG).hyper_parameters()
YARN = {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 32768}

FOURFOLD = {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0}
NINE = {"attention.sliding_window": 9}


def model(**changes):
    return Qwen2(Metadata({**KEYS, **{f"qwen2.{key}": value for key, value in changes.items()}}, "model.gguf"))


def scaling(**changes):
    return model(**{f"rope.scaling.{key}": value for key, value in changes.items()}).config.rotation


def frequencies(rotation):
    heads = tensor.graph_input("x", (1, 1, 1, 128), kind=tensor.Kind.FLOAT)
    plain = rope_frequencies(rotation(heads, tensor.graph_input("positions", (1, 1))))
    return plain if rotation.factors is None else plain / rotation.factors.attrs["value"]


@pytest.mark.reference
@pytest.mark.parametrize(
    "rope",
    [
        {"rope_type": "default", "rope_theta": 1e6},
        {"rope_type": "linear", "rope_theta": 1e6, "factor": 3.0},
        YARN,
        {**YARN, "factor": 0.5},
        {**YARN, "beta_fast": 8.0, "beta_slow": 4.0, "attention_factor": 0.7},
        {**YARN, "mscale": 0.7, "mscale_all_dim": 1.3, "factor": 40.0},
        {**YARN, "original_max_position_embeddings": 6},  # nothing turns once: low and high meet
        {**YARN, "rope_theta": 20.0},  # the ramp ends at the last element
    ],
)
def test_rotation_is_transformers(rope):
    import transformers

    theirs = transformers.models.qwen2.modeling_qwen2.Qwen2RotaryEmbedding(
        transformers.Qwen2Config(**CONFIG, rope_parameters=dict(rope))
    )
    converted = Qwen2Converter({**CONFIG, "rope_parameters": rope}).hyper_parameters()
    ours = read_rotation(Metadata(converted, "model.gguf"), 128)
    assert ours.rope.pairing == "halves"
    np.testing.assert_allclose(frequencies(ours), theirs.inv_freq.numpy(), rtol=2.4e-7)  # two units in the last place
    assert (frequencies(ours) == theirs.inv_freq.numpy()).mean() > 0.8
    assert ours.rope.magnitude == pytest.approx(theirs.attention_scaling, rel=1e-7)


def test_scaling_keys_of_llama_cpp():
    usual = 0.1 * np.log(4) + 1
    assert scaling(type="yarn", factor=4.0).rope.magnitude == pytest.approx(usual)
    assert scaling(type="yarn", factor=4.0, attn_factor=2.0).rope.magnitude == pytest.approx(2 * usual)
    assert scaling(type="yarn", factor=4.0, yarn_attn_factor=1.25).rope.magnitude == 1.25
    assert scaling(type="linear", factor=4.0, attn_factor=2.0).rope.magnitude == 2.0
    assert scaling(factor=4.0).rope.scale == 0.25
    assert scaling(type="none", factor=4.0).rope.scale == 1.0
    default = scaling(type="yarn", factor=4.0).factors.attrs["value"]
    spelled = scaling(
        type="yarn", factor=4.0, yarn_beta_fast=32.0, yarn_beta_slow=1.0, original_context_length=32768
    ).factors.attrs["value"]
    np.testing.assert_array_equal(default, spelled)


@pytest.mark.parametrize("pattern", [[True, False], np.array([True, False])])
def test_windows_by_layer(pattern):
    assert model(**NINE, **{"attention.sliding_window_pattern": pattern}).config.windows == [9, None]
    assert model().config.windows == [None, None]


@pytest.mark.parametrize(
    ("changes", "kind", "problem"),
    [
        ({"attention.head_count_kv": 3}, ArchitectureError, "28 query heads do not divide into 3 key heads"),
        ({"rope.dimension_count": 7}, ArchitectureError, "expected an even number"),
        ({"rope.dimension_count": 130}, ArchitectureError, "128 at most"),
        ({"attention.key_length": 2**31, "rope.dimension_count": 2**31}, ArchitectureError, "65536 at most"),
        ({"block_count": 2**31}, GGUFError, "at most 4096"),
        ({"rope.scaling.type": "longrope"}, ArchitectureError, "'longrope', expected none, linear or yarn"),
        ({"rope.scaling.type": "yarn"}, GGUFError, "qwen2.rope.scaling.factor"),
        ({**FOURFOLD, "rope.scaling.factor": 1e30}, GGUFError, "qwen2.rope.scaling.factor.* too large"),
        ({"rope.freq_base": 1e300}, GGUFError, "qwen2.rope.freq_base.* too large"),
        ({"rope.scaling.yarn_ext_factor": 0.5}, ArchitectureError, "yarn_ext_factor is not supported"),
        ({**FOURFOLD, "rope.freq_base": 1.0}, ArchitectureError, "freq_base is 1"),
        (
            {**FOURFOLD, "rope.scaling.yarn_beta_slow": 900.0},
            ArchitectureError,
            "yarn's ramp would go from frequency",
        ),
        ({**FOURFOLD, "rope.scaling.original_context_length": 0}, GGUFError, "original_context_length"),
        (NINE, ArchitectureError, "does not say which layers"),
        ({**NINE, "attention.sliding_window_pattern": [True]}, GGUFError, "2 elements were expected"),
        ({**NINE, "attention.sliding_window_pattern": 2}, GGUFError, "an array of bools"),
        ({"attention.sliding_window": 0, "attention.sliding_window_pattern": [True] * 2}, GGUFError, "sliding_window"),
    ],
)  # fmt: skip
def test_a_file_that_is_refused(changes, kind, problem):
    with pytest.raises(kind, match=problem) as caught:
        model(**changes)
    assert "model.gguf" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_without_biases_is_refused():
    shapes = Qwen2Converter(CONFIG).shapes()
    tensors = {name: TensorInfo(name, DType.F32, shape) for name, shape in shapes.items() if not name.endswith(".bias")}
    with pytest.raises(BindingError, match=r"missing: blk.0.attn_q.bias, .*blk.1.attn_v.bias$"):
        bind(model(), tensors, "model.gguf")
