"""Qwen2ForCausalLM to GGUF: what it has beyond llama, against transformers' own checkpoints, and what is refused."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ollamax.convert.checkpoint import Checkpoint
from ollamax.convert.conversion import Conversion
from ollamax.errors import ConversionError
from ollamax.gguf import open_gguf, write_gguf
from ollamax.ml.dtype import dequantize
from ollamax_qwen2.convert import Qwen2Converter

CONFIG = {
    "architectures": ["Qwen2ForCausalLM"],
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-6,
}
WINDOW = {"use_sliding_window": True, "sliding_window": 9}
FULL, SLIDING = "full_attention", "sliding_attention"
YARN = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}

NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "model.layers": "blk",
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


def keys(**changes):
    return Qwen2Converter({**CONFIG, **changes}).hyper_parameters()


@pytest.mark.reference
@pytest.mark.parametrize(
    ("changes", "dtype"),
    [({}, "float32"), ({"tie_word_embeddings": True}, "bfloat16"), ({"head_dim": 12, **WINDOW}, "float16")],
)
def test_every_tensor_is_the_models(changes, dtype, tmp_path):
    import torch
    import transformers

    config = {key: value for key, value in CONFIG.items() if key != "architectures"}
    model = transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**config, **changes)).to(getattr(torch, dtype))
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms start out constant, which would hide errors
            parameter.copy_(torch.randn_like(parameter))
    model.save_pretrained(tmp_path, max_shard_size="8KB")
    checkpoint = Checkpoint(tmp_path)
    source = Conversion(checkpoint, Qwen2Converter(checkpoint.config), {})
    expected = dict(model.state_dict())
    if model.config.tie_word_embeddings:
        del expected["lm_head.weight"]
    for theirs, ours in NAMES.items():
        expected = {name.replace(theirs, ours): tensor for name, tensor in expected.items()}
    assert source.tensors.keys() == expected.keys()
    assert "blk.2.attn_v.bias" in expected
    for name, tensor in expected.items():
        info = source.tensors[name]
        value = dequantize(source.tensor_bytes(name), info.dtype, info.shape)
        np.testing.assert_array_equal(value, tensor.float().numpy(), err_msg=name)


def test_keys():
    assert keys() == {
        "qwen2.vocab_size": 40,
        "qwen2.context_length": 128,
        "qwen2.embedding_length": 32,
        "qwen2.block_count": 3,
        "qwen2.feed_forward_length": 48,
        "qwen2.attention.head_count": 4,
        "qwen2.attention.head_count_kv": 2,
        "qwen2.attention.layer_norm_rms_epsilon": 1e-6,
        "qwen2.rope.dimension_count": 8,
        "qwen2.rope.freq_base": 10000.0,
    }


@pytest.mark.reference
@pytest.mark.parametrize(
    ("changes", "window", "sliding"),
    [
        ({**WINDOW, "max_window_layers": 0}, 9, [True] * 3),
        ({**WINDOW, "max_window_layers": 2}, 9, [False, False, True]),
        ({**WINDOW, "layer_types": [SLIDING, FULL, FULL]}, 9, [True, False, False]),
        ({**WINDOW, "layer_types": [SLIDING, FULL, FULL], "max_window_layers": 0}, 9, [True, False, False]),
        ({"use_sliding_window": True, "max_window_layers": 1}, 4096, [False, True, True]),
    ],
)
def test_windows(changes, window, sliding):
    import transformers

    found = keys(**changes)
    assert found["qwen2.attention.sliding_window"] == window
    assert found["qwen2.attention.sliding_window_pattern"] == sliding
    config = {key: value for key, value in CONFIG.items() if key != "architectures"}
    theirs = transformers.Qwen2Config(**config, **changes)
    assert theirs.sliding_window == window
    assert [kind == SLIDING for kind in theirs.layer_types] == sliding


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"sliding_window": 9, "max_window_layers": 0},
        {**WINDOW, "max_window_layers": 3},
        WINDOW,  # the default is 28 layers without a window
        {**WINDOW, "layer_types": [FULL] * 3, "max_window_layers": 0},
        {"use_sliding_window": True, "sliding_window": None, "max_window_layers": 0},
    ],
)
def test_no_windows(changes):
    assert not any("sliding" in key for key in keys(**changes))


def test_a_file_keeps_the_windows(tmp_path):
    found = keys(**WINDOW, max_window_layers=2)
    write_gguf(tmp_path / "model.gguf", {"general.architecture": "qwen2", **found}, [], lambda _: None)
    with open_gguf(tmp_path / "model.gguf") as file:
        assert file.metadata["qwen2.attention.sliding_window_pattern"].tolist() == [False, False, True]
    import gguf

    field = gguf.GGUFReader(tmp_path / "model.gguf").get_field("qwen2.attention.sliding_window_pattern")
    assert field.types == [gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.BOOL]


def scaling(**changes):
    found = keys(rope_scaling={**YARN, **changes})
    prefix = "qwen2.rope.scaling."
    return {key.removeprefix(prefix): value for key, value in found.items() if key.startswith(prefix)}


def test_yarn():
    usual = {
        "type": "yarn",
        "factor": 4.0,
        "original_context_length": 64,
        "yarn_beta_fast": 32.0,
        "yarn_beta_slow": 1.0,
    }
    assert scaling() == usual
    assert scaling(original_max_position_embeddings=None) == {**usual, "original_context_length": 128}
    assert scaling(beta_fast=16, beta_slow=2) == {**usual, "yarn_beta_fast": 16.0, "yarn_beta_slow": 2.0}
    assert scaling(truncate=True, mscale=1.0) == usual
    magnitude = 0.1 * np.log(4) + 1
    assert scaling(attention_factor=1.0)["attn_factor"] == pytest.approx(1 / magnitude)
    assert scaling(mscale=1.0, mscale_all_dim=1.0)["attn_factor"] == pytest.approx(1 / magnitude)
    assert scaling(mscale=1.0, mscale_all_dim=1.0, attention_factor=2.0)["attn_factor"] == pytest.approx(2 / magnitude)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({**WINDOW, "sliding_window": 0}, "sliding_window is 0"),
        ({**WINDOW, "max_window_layers": -1}, "max_window_layers is -1; expected a whole number from 0"),
        ({"use_sliding_window": "yes"}, "use_sliding_window is 'yes'"),
        ({**WINDOW, "layer_types": [FULL] * 2}, "expected a list of 3, each full_attention or sliding_attention"),
        ({**WINDOW, "layer_types": [FULL, FULL, "chunked_attention"]}, "layer_types is"),
        ({**WINDOW, "layer_types": [FULL, FULL, ["x"]]}, "layer_types is"),
        ({**WINDOW, "layer_types": FULL}, "layer_types is 'full_attention'"),
        ({"layer_types": [FULL, FULL, SLIDING]}, "has sliding_attention, but there is no window"),
        *(
            ({"rope_scaling": {"rope_type": kind, "factor": 2.0}}, f"RoPE scaling '{kind}' is not supported")
            for kind in ("llama3", "dynamic", "longrope", "mrope", "no such thing")
        ),
        ({"rope_scaling": {**YARN, "truncate": False}}, "yarn without truncate is not supported"),
        ({"rope_scaling": {**YARN, "factor": None}}, "factor is missing"),
        ({"rope_scaling": {**YARN, "beta_fast": "many"}}, "beta_fast is 'many'"),
        ({"rope_scaling": {**YARN, "attention_factor": -1}}, "attention_factor is -1"),
        ({"rope_scaling": {**YARN, "mscale": 1e39, "mscale_all_dim": 1}}, "mscale is 1e+39"),
        ({"rope_scaling": {**YARN, "type": "linear", "beta_fast": 8}}, "beta_fast' are not supported"),
    ],
)  # fmt: skip
def test_a_config_that_is_refused(changes, problem):
    with pytest.raises(ConversionError) as caught:
        keys(**changes)
    assert problem in str(caught.value)
    assert str(caught.value).startswith("config.json: ")
    assert "\n" not in str(caught.value)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["yarn", "linear", FULL, SLIDING]),
    lambda inner: (
        st.lists(inner, min_size=3, max_size=3)
        | st.dictionaries(st.sampled_from([*YARN, "beta_fast", "mscale", "mscale_all_dim"]), inner, max_size=4)
    ),
    max_leaves=5,
)
KEYS = ["use_sliding_window", "sliding_window", "max_window_layers", "layer_types", "rope_scaling", "rope_parameters"]


@settings(max_examples=200, deadline=None)
@given(changes=st.dictionaries(st.sampled_from(KEYS), ANYTHING, min_size=1, max_size=5))
def test_any_config_is_taken_or_refused(changes):
    with contextlib.suppress(ConversionError):
        found = keys(**changes)
        assert len(found.get("qwen2.attention.sliding_window_pattern", [True] * 3)) == 3
        assert found.get("qwen2.rope.scaling.attn_factor", 1.0) > 0


def test_a_lost_bias_is_named(tmp_path):
    import json

    from safetensors.numpy import save_file

    shapes = Qwen2Converter(CONFIG).shapes()
    assert shapes["blk.0.attn_k.bias"] == (16,)
    assert "blk.0.attn_output.bias" not in shapes
    back = {ours: theirs for theirs, ours in NAMES.items()}
    tensors = {}
    for name, shape in shapes.items():
        parts = name.split(".")
        place = f"model.layers.{parts[1]}.{back[parts[2]]}" if parts[0] == "blk" else back[parts[0]]
        tensors[f"{place}.{parts[-1]}"] = np.zeros(shape, np.float32)
    del tensors["model.layers.1.self_attn.k_proj.bias"]
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    checkpoint = Checkpoint(tmp_path)
    with pytest.raises(ConversionError, match=r"disagree: blk\.1\.attn_k\.bias is missing \(16\)$"):
        Conversion(checkpoint, Qwen2Converter(checkpoint.config), {})
