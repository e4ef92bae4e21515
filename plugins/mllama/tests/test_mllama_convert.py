"""MllamaForConditionalGeneration to GGUF: names of both spellings, and every config.json that must be refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from ollamax.convert.checkpoint import Checkpoint
from ollamax.convert.conversion import Conversion
from ollamax.errors import ConversionError
from ollamax_mllama.convert import MllamaConverter

TEXT: dict[str, Any] = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-6,
    "cross_attention_layers": [1],
}
VISION: dict[str, Any] = {
    "hidden_size": 8,
    "intermediate_size": 12,
    "num_hidden_layers": 1,
    "num_global_layers": 1,
    "attention_heads": 2,
    "image_size": 4,
    "patch_size": 2,
    "vision_output_dim": 16,
    "intermediate_layers_indices": [0],
}
CONFIG: dict[str, Any] = {
    "architectures": ["MllamaForConditionalGeneration"],
    "image_token_index": 40,
    "text_config": TEXT,
    "vision_config": VISION,
}


def layer(prefix: str, **shapes: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {prefix + name.replace("__", "."): shape for name, shape in shapes.items()}


def vision_layer(prefix: str) -> dict[str, tuple[int, ...]]:
    norms = {f"{norm}__{part}": (8,) for norm in ("input_layernorm", "post_attention_layernorm") for part in PARTS}
    attention = {f"self_attn__{name}_proj__weight": (8, 8) for name in "qkvo"}
    first = {"mlp__fc1__weight": (12, 8), "mlp__fc1__bias": (12,)}
    return layer(prefix, **norms, **attention, **first, mlp__fc2__weight=(8, 12), mlp__fc2__bias=(8,))


PARTS = ("weight", "bias")
MLP = {"mlp__gate_proj__weight": (24, 16), "mlp__up_proj__weight": (24, 16), "mlp__down_proj__weight": (16, 24)}
NORMS = {"input_layernorm__weight": (16,), "post_attention_layernorm__weight": (16,)}
PROJECTIONS = {"q_proj__weight": (16, 16), "k_proj__weight": (8, 16), "v_proj__weight": (8, 16)}


def checkpoint_shapes(text: str, vision: str, head: str, projector: str) -> dict[str, tuple[int, ...]]:
    """The tensors of a checkpoint with these prefixes."""
    reading = {f"self_attn__{name}": shape for name, shape in PROJECTIONS.items()}
    looking = {f"cross_attn__{name}": shape for name, shape in PROJECTIONS.items()}
    tile = f"{vision}.gated_positional_embedding."
    return {
        f"{text}.embed_tokens.weight": (48, 16),
        f"{text}.norm.weight": (16,),
        f"{head}lm_head.weight": (40, 16),
        **layer(f"{text}.layers.0.", **NORMS, **MLP, **reading, self_attn__o_proj__weight=(16, 16)),
        **layer(f"{text}.layers.1.", **NORMS, **MLP, **looking, cross_attn__o_proj__weight=(16, 16)),
        **layer(f"{text}.layers.1.cross_attn", __q_norm__weight=(4,), __k_norm__weight=(4,)),
        **layer(f"{text}.layers.1.", cross_attn_attn_gate=(1,), cross_attn_mlp_gate=(1,)),
        f"{vision}.class_embedding": (8,),
        f"{vision}.patch_embedding.weight": (8, 3, 2, 2),
        **layer(tile, embedding=(5, 8), gate=(1,), tile_embedding__weight=(9, 160)),
        **layer(f"{vision}.pre_tile_positional_embedding.", gate=(1,), embedding__weight=(9, 32)),
        **layer(f"{vision}.post_tile_positional_embedding.", gate=(1,), embedding__weight=(9, 32)),
        **{f"{vision}.layernorm_{side}.{part}": (8,) for side in ("pre", "post") for part in PARTS},
        **vision_layer(f"{vision}.transformer.layers.0."),
        **vision_layer(f"{vision}.global_transformer.layers.0."),
        **layer(f"{vision}.global_transformer.layers.0.", gate_attn=(1,), gate_ffn=(1,)),
        f"{projector}.weight": (16, 16),
        f"{projector}.bias": (16,),
    }


PUBLISHED = checkpoint_shapes("language_model.model", "vision_model", "language_model.", "multi_modal_projector")
IN_MEMORY = checkpoint_shapes("model.language_model", "model.vision_model", "", "model.multi_modal_projector")


def write(directory: Path, shapes: dict[str, tuple[int, ...]], config: dict[str, Any] = CONFIG) -> Path:
    random = np.random.default_rng(0)
    save_file({n: random.normal(size=s).astype(np.float32) for n, s in shapes.items()}, directory / "model.safetensors")
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return directory


def convert(directory: Path, **beside: dict[str, Any]) -> Conversion:
    checkpoint = Checkpoint(directory)
    files = {f"{name}.json": content for name, content in beside.items()}
    return Conversion(checkpoint, MllamaConverter({**checkpoint.config, **files}), {})


@pytest.mark.parametrize("shapes", [PUBLISHED, IN_MEMORY], ids=["published", "in-memory"])
def test_names_of_both_spellings(shapes: dict[str, tuple[int, ...]], tmp_path: Path) -> None:
    conversion = convert(write(tmp_path, shapes))
    assert len(conversion.tensors) == len(shapes) + 1  # one gate becomes two
    block = {name.removeprefix("blk.1.") for name in conversion.tensors if name.startswith("blk.1.")}
    assert block == {
        *(f"{name}.weight" for name in ("attn_norm", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down")),
        *(f"cross_attn_{name}.weight" for name in ("q_proj", "k_proj", "v_proj", "o_proj", "q_norm", "k_norm")),
        "cross_attn_attn_gate",
        "cross_attn_mlp_gate",
    }
    top = {name for name in conversion.tensors if name.startswith(("v.", "mm.")) and "blk" not in name}
    assert top == {
        "v.class_embd",
        "v.patch_embd.weight",
        *(f"v.{side}position_embd.{part}" for side in ("", "tile_") for part in ("weight", "gate")),
        *(f"v.{side}_tile_position_embd.{part}" for side in ("pre", "post") for part in ("weight", "gate")),
        *(f"v.{side}_ln.{part}" for side in ("pre", "post") for part in PARTS),
        *(f"mm.0.{part}" for part in PARTS),
    }
    assert {"v.global.blk.0.attn_gate", "v.global.blk.0.ffn_gate", "v.blk.0.attn_output.weight"} <= set(
        conversion.tensors
    )


def test_matrices_are_only_moved_and_as_they_are_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = {name: np.arange(np.prod(shape)).reshape(shape).astype(np.float16) for name, shape in PUBLISHED.items()}
    write(tmp_path, PUBLISHED)
    save_file(words, tmp_path / "model.safetensors")
    conversion, given = convert(tmp_path), {}
    plain = MllamaConverter.transform

    def watched(self: MllamaConverter, name: str, value: Any) -> Any:
        given[name] = value
        return plain(self, name, value)

    monkeypatch.setattr(MllamaConverter, "transform", watched)
    stored = {name: conversion.tensor_bytes(name) for name in conversion.tensors}
    matrices = {name for name in given if len(conversion.tensors[name].shape) > 1}
    own, crossing = ("blk.0.attn_q", "blk.0.attn_k"), ("blk.1.cross_attn_q_proj", "blk.1.cross_attn_k_proj")
    assert matrices == {f"{name}.weight" for name in (*own, *crossing)}
    for name in matrices:
        assert given[name].dtype == np.uint16
        moved = stored[name].view(np.uint16)
        assert sorted(moved) == sorted(given[name].reshape(-1))
        assert not np.array_equal(moved, given[name].reshape(-1))


def test_keys(tmp_path: Path) -> None:
    colours = {"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 0.5, 0.25]}
    write(tmp_path, PUBLISHED)
    for beside in ({"preprocessor_config": colours}, {"processor_config": {"image_processor": colours}}):
        keys = convert(tmp_path, **beside).metadata
        assert keys["mllama.attention.cross_attention_layers"] == [1]
        assert keys["mllama.vocab_size"] == 40
        assert keys["mllama.vision.global.block_count"] == 1
        assert keys["mllama.vision.intermediate_layers_indices"] == [0]
        assert keys["mllama.vision.image_mean"] == [0.1, 0.2, 0.3]
        assert keys["mllama.vision.image_std"] == [1.0, 0.5, 0.25]
        assert keys["ollamax.mllama.image_token_id"] == 40
    assert "mllama.vision.image_mean" not in convert(tmp_path).metadata


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = {
    "no cross-attention": ({"cross_attention_layers": []}, {}, {}, "expected a list of layers"),
    "cross-attention outside": ({"cross_attention_layers": [2]}, {}, {}, "numbers below 2"),
    "cross-attention twice": ({"cross_attention_layers": [1, 1]}, {}, {}, "different numbers"),
    "odd heads": ({"num_attention_heads": 16}, {}, {}, "needs an even number"),
    "own head size": ({"head_dim": 8}, {}, {}, "head_dim is 8"),
    "yarn": ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0}}, {}, {}, "'yarn' is not"),
    "image token": ({}, {}, {"image_token_index": 48}, "image_token_index"),
    "no vision": ({}, {}, {"vision_config": None}, "vision_config: hidden_size is missing"),
    "activation": ({}, {"hidden_act": "quick_gelu"}, {}, "hidden_act 'quick_gelu' is not supported"),
    "channels": ({}, {"num_channels": 1}, {}, "num_channels 1 is not supported"),
    "vision heads": ({}, {"attention_heads": 3}, {}, "attention_heads 3 is not supported"),
    "patch": ({}, {"patch_size": 8}, {}, "patch_size 8 is not supported"),
    "intermediate layers": ({}, {"intermediate_layers_indices": [1]}, {}, "intermediate_layers_indices"),
    "no intermediate layers": ({}, {"intermediate_layers_indices": None}, {}, "intermediate_layers_indices"),
    "ratios": ({}, {"supported_aspect_ratios": [[1, 1]]}, {}, "supported_aspect_ratios"),
    "projector": ({}, {"vision_output_dim": 24}, {}, "vision_output_dim must be 16"),
    "resampling": ({}, {}, {"preprocessor_config.json": {"resample": 3}}, "resample 3 is not supported"),
    "tile": ({}, {}, {"preprocessor_config.json": {"size": {"height": 5, "width": 5}}}, "size"),
    "no padding": ({}, {}, {"preprocessor_config.json": {"do_pad": False}}, "do_pad False is not supported"),
    "colours": ({}, {}, {"preprocessor_config.json": {"image_mean": 0.5}}, "expected 3 numbers"),
    "zero deviation": ({}, {}, {"preprocessor_config.json": {"image_std": [1, 0, 1]}}, "expected numbers above 0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_run_is_refused_by_name(name: str) -> None:
    text, vision, top, message = REFUSED[name]
    config = {**CONFIG, "text_config": TEXT | text, "vision_config": VISION | vision, **top}
    with pytest.raises(ConversionError, match=message) as caught:
        MllamaConverter(config)
    assert "\n" not in str(caught.value)


def test_tensors_that_contradict_the_configuration_are_listed(tmp_path: Path) -> None:
    shapes = {name: shape for name, shape in PUBLISHED.items() if not name.endswith("gated_positional_embedding.gate")}
    shapes["vision_model.class_embedding"] = (9,)
    with pytest.raises(ConversionError) as caught:
        convert(write(tmp_path, shapes))
    for part in (
        "v.position_embd.gate is missing",
        "v.tile_position_embd.gate is missing",
        "class_embedding is 9, not 8",
    ):
        assert part in str(caught.value)
