"""MllamaForConditionalGeneration to GGUF: names of both spellings, and every config.json that must be refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mllama_shapes import CONFIG, IN_MEMORY, PARTS, PUBLISHED, TEXT, VISION
from safetensors.numpy import save_file

from ollamax.convert.checkpoint import Checkpoint
from ollamax.convert.conversion import Conversion
from ollamax.errors import ConversionError
from ollamax_mllama.convert import MllamaConverter


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
