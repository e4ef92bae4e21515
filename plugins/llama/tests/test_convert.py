"""LlamaForCausalLM to GGUF: against transformers' own checkpoints, and every config.json that must be refused."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ollamax.convert.base import Extra
from ollamax.convert.checkpoint import Checkpoint
from ollamax.convert.conversion import Conversion
from ollamax.errors import ConversionError
from ollamax.gguf.writer import write_gguf
from ollamax.ml.dtype import dequantize
from ollamax.types import DType
from ollamax_llama.convert import LlamaConverter

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-6,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def without(*keys):
    return {key: value for key, value in CONFIG.items() if key not in keys}


# What transformers saves ----------------------------------------------------------------------------------------------

MODELS = {
    "plain": ({}, "float32"),
    "bf16, tied": ({"tie_word_embeddings": True}, "bfloat16"),
    "f16, own head size": ({"head_dim": 12}, "float16"),
    "biases": ({"attention_bias": True, "mlp_bias": True, "num_key_value_heads": 1}, "float32"),
    "llama3 scaling": ({"rope_parameters": {**LLAMA3, "rope_theta": 5e5}}, "bfloat16"),
    "linear scaling": ({"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4}}, "float32"),
}


@pytest.fixture(params=MODELS.values(), ids=MODELS.keys())
def saved(request, tmp_path):
    """A random model of transformers, and the directory to which it was saved in several shards."""
    import torch
    import transformers

    changes, dtype = request.param
    torch.manual_seed(0)
    config = transformers.LlamaConfig(**{**without("architectures"), **changes})
    model = transformers.LlamaForCausalLM(config).to(getattr(torch, dtype))
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms start out constant, which would hide errors
            parameter.copy_(torch.randn_like(parameter))
    model.save_pretrained(tmp_path / "model", max_shard_size="8KB")
    assert len(list((tmp_path / "model").glob("*.safetensors"))) > 2
    return model, tmp_path / "model"


def conversion_of(directory):
    checkpoint = Checkpoint(directory)
    return Conversion(checkpoint, LlamaConverter(checkpoint.config), {})


NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(name):
    name = name.replace("model.embed_tokens", "token_embd").replace("model.norm", "output_norm")
    name = name.replace("lm_head", "output").replace("model.layers", "blk")
    for theirs, ours in NAMES.items():
        name = name.replace(theirs, ours)
    return name


def to_halves(value, heads):
    """Undoes the reordering: rows 0, 2, 4, ... of each head, then 1, 3, 5, ..."""
    return np.concatenate([part for head in np.split(value, heads) for part in (head[0::2], head[1::2])])


@pytest.mark.reference
def test_every_tensor_is_the_models(saved):
    model, directory = saved
    source = conversion_of(directory)
    config = model.config
    expected = {gguf_name(name): tensor for name, tensor in model.state_dict().items()}
    if config.tie_word_embeddings:
        del expected["output.weight"]
    assert source.tensors.keys() - {"rope_freqs.weight"} == expected.keys()
    for name, tensor in expected.items():
        info = source.tensors[name]
        stored = {"torch.float32": DType.F32, "torch.float16": DType.F16, "torch.bfloat16": DType.BF16}
        assert info.dtype == (stored[str(tensor.dtype)] if tensor.ndim > 1 else DType.F32)
        value = dequantize(source.tensor_bytes(name), info.dtype, info.shape)
        if ".attn_q." in name:
            value = to_halves(value, config.num_attention_heads)
        if ".attn_k." in name:
            value = to_halves(value, config.num_key_value_heads)
        np.testing.assert_array_equal(value, tensor.float().numpy(), err_msg=name)


@pytest.mark.reference
@pytest.mark.parametrize("files", ["pytorch_model.bin", "model.pth", "shards", "old format"])
def test_pytorch_weights_give_the_same_as_safetensors(saved, tmp_path, files):
    import torch

    model, directory = saved
    state = model.state_dict()  # tied weights are two names for one storage
    other = tmp_path / "pytorch"
    other.mkdir()
    (other / "config.json").write_bytes((directory / "config.json").read_bytes())
    if files == "shards":
        weight_map = {name: f"pytorch_model-0000{1 + at % 3}-of-00003.bin" for at, name in enumerate(state)}
        for file in set(weight_map.values()):
            torch.save({name: state[name] for name in state if weight_map[name] == file}, other / file)
        (other / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    else:
        name = "pytorch_model.bin" if files == "old format" else files
        torch.save(state, other / name, _use_new_zipfile_serialization=files != "old format")
    ours, theirs = conversion_of(other), conversion_of(directory)
    assert ours.tensors == theirs.tensors
    for name in theirs.tensors:
        assert ours.tensor_bytes(name).tobytes() == theirs.tensor_bytes(name).tobytes(), name


@pytest.mark.reference
def test_frequencies_are_the_models(saved):
    model, directory = saved
    source = conversion_of(directory)
    metadata, dim = source.metadata, source.metadata["llama.rope.dimension_count"]
    ours = metadata["llama.rope.freq_base"] ** -(np.arange(0, dim, 2) / dim)
    if "rope_freqs.weight" in source.tensors:
        ours = ours / source.tensor_bytes("rope_freqs.weight").view(np.float32)
    if metadata.get("llama.rope.scaling.type") == "linear":
        ours = ours / metadata["llama.rope.scaling.factor"]
    # Not the model's own buffer, which was rounded with the weights.
    theirs = type(model.model.rotary_emb)(model.config).inv_freq.numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    scaled = model.config.rope_parameters["rope_type"] != "default"
    assert scaled == (not np.allclose(theirs, metadata["llama.rope.freq_base"] ** -(np.arange(0, dim, 2) / dim)))


@pytest.mark.reference
def test_the_reader_of_the_gguf_package_reads_the_file(saved, tmp_path):
    import gguf

    model, directory = saved
    source = conversion_of(directory)
    path = tmp_path / "model.gguf"
    write_gguf(path, source.metadata, source.tensors.values(), source.tensor_bytes)
    reader = gguf.GGUFReader(path)
    assert {tensor.name for tensor in reader.tensors} == set(source.tensors)
    for tensor in reader.tensors:
        info = source.tensors[tensor.name]
        assert tuple(reversed(tensor.shape.tolist())) == info.shape
        assert tensor.tensor_type == info.dtype
        assert tensor.data.tobytes() == source.tensor_bytes(tensor.name).tobytes()
    field = reader.get_field("llama.attention.head_count_kv")
    assert field.types == [gguf.GGUFValueType.UINT32]
    assert field.contents() == model.config.num_key_value_heads
    assert reader.get_field("llama.rope.freq_base").types == [gguf.GGUFValueType.FLOAT32]


# Keys -----------------------------------------------------------------------------------------------------------------


def test_keys():
    assert LlamaConverter(CONFIG).hyper_parameters() == {
        "llama.vocab_size": 40,
        "llama.context_length": 128,
        "llama.embedding_length": 32,
        "llama.block_count": 2,
        "llama.feed_forward_length": 48,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "llama.attention.layer_norm_rms_epsilon": 1e-6,
        "llama.rope.dimension_count": 8,
        "llama.rope.freq_base": 10000.0,
    }


def test_an_old_config_without_grouped_heads():
    assert LlamaConverter(without("num_key_value_heads")).hyper_parameters()["llama.attention.head_count_kv"] == 4


def test_own_head_size():
    keys = LlamaConverter({**CONFIG, "head_dim": 12, "hidden_size": 30}).hyper_parameters()
    assert keys["llama.rope.dimension_count"] == 12
    assert keys["llama.attention.key_length"] == keys["llama.attention.value_length"] == 12


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2}},
        {"rope_theta": 5e5, "rope_scaling": {"rope_type": "linear", "factor": 2.0}},
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 5e5}},
        {
            "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 5e5},
            "rope_scaling": {"rope_type": "linear", "factor": 2.0},
        },
    ],
)
def test_the_spellings_of_rope_settings(rope):
    keys = LlamaConverter({**CONFIG, **rope}).hyper_parameters()
    assert keys["llama.rope.freq_base"] == 5e5
    assert keys["llama.rope.scaling.type"] == "linear"
    assert keys["llama.rope.scaling.factor"] == 2.0


@pytest.mark.parametrize("rope", [{"rope_scaling": None}, {"rope_scaling": {"rope_type": "default"}}, {}])
def test_no_scaling(rope):
    converter = LlamaConverter({**CONFIG, **rope})
    assert not any("scaling" in key for key in converter.hyper_parameters())
    assert list(converter.extras()) == []


def factors(**changes):
    converter = LlamaConverter({**CONFIG, "rope_scaling": {**LLAMA3, **changes}})
    (extra,) = converter.extras()
    assert isinstance(extra, Extra)
    assert extra.name == "rope_freqs.weight"
    assert extra.value.dtype == np.float32
    return extra.value


def test_llama3_factors_by_hand():
    # Wavelengths 2 pi (1, 10, 100, 1000) = 6.3, 62.8, 628, 6283; they stay up to 64 / 4 = 16 and stretch by 8 from 64.
    share = (64 / (20 * np.pi) - 1) / 3
    np.testing.assert_allclose(factors(), [1, 1 / ((1 - share) / 8 + share), 8, 8], rtol=1e-6)


def test_the_length_before_scaling_follows_transformers():
    scaling = {key: value for key, value in LLAMA3.items() if key != "original_max_position_embeddings"}
    given = LlamaConverter({**CONFIG, "original_max_position_embeddings": 64, "rope_scaling": scaling})
    default = LlamaConverter({**CONFIG, "max_position_embeddings": 64, "rope_scaling": scaling})
    for converter in (given, default):
        (extra,) = converter.extras()
        np.testing.assert_array_equal(extra.value, factors())


# Bad input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        *(
            (without(key), f"{key} is missing")
            for key in CONFIG
            if key not in ("architectures", "num_key_value_heads", "max_position_embeddings", "rms_norm_eps")
        ),
        *(
            ({**CONFIG, key: value}, key)
            for key in CONFIG
            if key not in ("architectures", "max_position_embeddings", "rms_norm_eps")
            for value in (0, -4, "4", 2.5, True)
        ),
        ({**CONFIG, "num_hidden_layers": 2**31 - 1}, "num_hidden_layers is 2147483647"),
        ({**CONFIG, "num_key_value_heads": 3}, "num_attention_heads is 4, which num_key_value_heads 3 does not divide"),
        ({**CONFIG, "hidden_size": 30}, "hidden_size is 30, which num_attention_heads 4 does not divide"),
        ({**CONFIG, "head_dim": 7}, "head_dim is 7; RoPE needs an even number"),
        ({**CONFIG, "head_dim": 0}, "head_dim"),
        ({**CONFIG, "hidden_act": "gelu"}, "hidden_act 'gelu' is not supported"),
        ({**CONFIG, "tie_word_embeddings": "yes"}, "tie_word_embeddings"),
        ({**CONFIG, "rope_theta": -1}, "rope_theta"),
        ({**CONFIG, "rope_scaling": "linear"}, "rope_scaling"),
        ({**CONFIG, "rope_scaling": {"type": "linear"}}, "rope_scaling: factor is missing"),
        ({**CONFIG, "rope_scaling": {"type": "linear", "factor": 0}}, "rope_scaling: factor is 0"),
        *(
            ({**CONFIG, "rope_scaling": {"rope_type": kind, "factor": 2.0}}, f"RoPE scaling '{kind}' is not supported")
            for kind in ("yarn", "dynamic", "longrope", "su", "no such thing")
        ),
        ({**CONFIG, "rope_parameters": {"full_attention": {"factor": 2}}}, "'full_attention' are not supported"),
        ({**CONFIG, "rope_parameters": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor other than 1"),
        ({**CONFIG, "partial_rotary_factor": 0.5}, "partial_rotary_factor"),
        (
            {**CONFIG, "rope_scaling": {"type": "linear", "factor": 2}, "rope_parameters": {"factor": 4}},
            "rope_scaling and rope_parameters disagree about factor",
        ),
    ],
)  # fmt: skip
def test_a_config_that_is_refused(config, problem):
    with pytest.raises(ConversionError) as caught:
        LlamaConverter(config)
    assert problem in str(caught.value)
    assert str(caught.value).startswith("config.json: ")


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["linear", "llama3"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(sorted(LLAMA3)), inner, max_size=3),
    max_leaves=5,
)
KEYS = [*CONFIG, "head_dim", "rope_theta", "rope_scaling", "rope_parameters", "attention_bias", "hidden_act"]


@settings(max_examples=300, deadline=None)
@given(changes=st.dictionaries(st.sampled_from(KEYS), ANYTHING, min_size=1, max_size=4))
def test_any_config_is_taken_or_refused(changes):
    with contextlib.suppress(ConversionError):
        converter = LlamaConverter({**CONFIG, **changes})
        assert converter.hyper_parameters()["llama.block_count"] >= 1
        assert all(size >= 1 for shape in converter.shapes().values() for size in shape)
        for extra in converter.extras() if converter.head_dim < 1000 else ():
            assert np.isfinite(extra.value).all()
            assert (extra.value > 0).all()


@pytest.mark.parametrize("key", ["max_position_embeddings", "rms_norm_eps"])
def test_hyper_parameters_that_are_missing(key):
    with pytest.raises(ConversionError, match=rf"config\.json: {key} is missing"):
        LlamaConverter(without(key)).hyper_parameters()


@pytest.mark.parametrize("key", ["factor", "low_freq_factor", "high_freq_factor"])
def test_llama3_settings_that_are_missing(key):
    scaling = {name: value for name, value in LLAMA3.items() if name != key}
    with pytest.raises(ConversionError, match=f"rope_scaling: {key} is missing"):
        list(LlamaConverter({**CONFIG, "rope_scaling": scaling}).extras())


def test_llama3_settings_that_cross():
    with pytest.raises(ConversionError, match="high_freq_factor 1 must exceed low_freq_factor 1"):
        factors(high_freq_factor=1.0)


def save(directory, config, tensors):
    import safetensors.numpy

    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config))
    safetensors.numpy.save_file(tensors, directory / "model.safetensors")
    return directory


def random_tensors(config):
    """A checkpoint of ``config`` with transformers' names."""
    names = ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"]
    names += [f"model.layers.{layer}.{part}.weight" for layer in range(config["num_hidden_layers"]) for part in NAMES]
    shapes = LlamaConverter(config).shapes()
    return {name: np.zeros(shapes[gguf_name(name)], np.float32) for name in names}


def test_buffers_and_the_tied_output_are_left_out(tmp_path):
    config = {**CONFIG, "tie_word_embeddings": True}
    tensors = random_tensors(CONFIG)
    tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = np.zeros(4, np.float32)
    source = conversion_of(save(tmp_path / "tied", config, tensors))
    assert "output.weight" not in source.tensors
    assert len(source.tensors) == 2 + 2 * 9


def test_a_config_that_contradicts_the_weights_names_both(tmp_path):
    tensors = random_tensors(CONFIG)
    del tensors["model.norm.weight"]
    tensors["model.layers.1.self_attn.q_proj.bias"] = np.zeros(32, np.float32)
    tensors["lm_head.weight"] = np.zeros((41, 32), np.float32)
    config = {**CONFIG, "num_hidden_layers": 3}
    with pytest.raises(ConversionError) as caught:
        conversion_of(save(tmp_path / "bad", config, tensors))
    message = str(caught.value)
    assert "config.json and the weights disagree" in message
    assert "lm_head.weight is 41 x 32, not 40 x 32" in message
    assert "output_norm.weight is missing (32)" in message
    assert "blk.2.attn_q.weight is missing (32 x 32)" in message
    assert "model.layers.1.self_attn.q_proj.bias is not part of such a model" in message
    assert "\n" not in message


def test_tensors_of_another_model_are_all_listed(tmp_path):
    tensors = random_tensors(CONFIG)
    extra = {f"model.layers.{layer}.self_attn.q_norm.weight": np.zeros(8, np.float32) for layer in range(2)}
    with pytest.raises(ConversionError) as caught:
        conversion_of(save(tmp_path / "other", CONFIG, {**tensors, **extra}))
    assert all(name in str(caught.value) for name in extra)
    assert "2 tensors" in str(caught.value)
