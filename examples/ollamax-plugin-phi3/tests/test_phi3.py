"""What is special in phi3: which factors, which window, and what is rejected."""

import json
import math
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ollamax
from ollamax.convert.base import Extra
from ollamax.errors import BindingError, ConversionError
from ollamax.gguf import Metadata
from ollamax.testing.random_checkpoint import RandomCheckpoint
from ollamax_phi3.convert import Phi3Converter
from ollamax_phi3.model import Config

HERE = Path(__file__).parent
CHECKPOINT = RandomCheckpoint.read(HERE / "checkpoint.json")
SHORT, LONG = ([1.0, 1.05, 1.1, 1.2, 1.3, 1.5, 1.7, 2.0], [1.0, 1.2, 1.6, 2.4, 4.0, 7.0, 11.0, 16.0])
TOKENS = [5, 17, 200, 33, 91]


def converter(**changes: Any) -> Phi3Converter:
    return Phi3Converter({**CHECKPOINT.config, "vocab_size": 300, **changes})


def everything(made: Phi3Converter) -> tuple[dict[str, Any], list[Extra]]:
    return made.hyper_parameters(), list(made.extras())


def scaling(**changes: Any) -> dict[str, Any]:
    return {"type": "longrope", "short_factor": SHORT, "long_factor": LONG, **changes}


@pytest.mark.parametrize("kind", ["longrope", "su"])
def test_longrope_becomes_tensors_and_keys(kind: str) -> None:
    made = converter(rope_scaling=scaling(type=kind))
    keys = made.hyper_parameters()
    assert keys["phi3.rope.scaling.original_context_length"] == 64
    # sqrt(1 + ln(256 / 64) / ln(64)): ln 64 is three times ln 4.
    assert keys["phi3.rope.scaling.attn_factor"] == pytest.approx(math.sqrt(4 / 3))
    factors = {extra.name: extra.value.tolist() for extra in made.extras()}
    assert factors.keys() == {"rope_factors_long.weight", "rope_factors_short.weight"}
    assert factors["rope_factors_long.weight"] == pytest.approx(LONG)
    assert factors["rope_factors_short.weight"] == pytest.approx(SHORT)


def test_a_checkpoint_may_choose_its_attention_factor() -> None:
    key = "phi3.rope.scaling.attn_factor"
    assert converter(rope_scaling=scaling(attention_factor=1.5)).hyper_parameters()[key] == 1.5
    assert converter(rope_scaling=scaling(factor=1.0)).hyper_parameters()[key] == 1.0
    assert converter(rope_scaling=scaling(factor=64.0)).hyper_parameters()[key] == pytest.approx(math.sqrt(2))


def test_without_longrope_there_are_no_factors() -> None:
    made = converter(rope_scaling=None)
    assert list(made.extras()) == []
    assert not [key for key in made.hyper_parameters() if "scaling" in key]


@pytest.mark.parametrize(("window", "kept"), [(6, 6), (None, 0)])
def test_null_turns_the_window_off(window: int | None, kept: int) -> None:
    keys = converter(sliding_window=window).hyper_parameters()
    assert keys["phi3.attention.sliding_window"] == kept
    assert Config(Metadata(keys, Path("a file"))).window == window


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"partial_rotary_factor": 0.75}, "partial_rotary_factor"),
        ({"rope_scaling": scaling(partial_rotary_factor=0.75)}, "partial_rotary_factor"),
        ({"rope_scaling": scaling(type="yarn")}, "yarn"),
        ({"rope_scaling": scaling(beta_fast=32)}, "beta_fast"),
        ({"rope_scaling": scaling(original_max_position_embeddings=32)}, "is 64, but 32"),
        ({"rope_scaling": scaling(long_factor=LONG[1:])}, "long_factor must be a list of 8 numbers"),
        ({"rope_scaling": scaling(short_factor=None)}, "short_factor must be a list of 8 numbers"),
        ({"rope_scaling": scaling(short_factor=[*SHORT[1:], 0.0])}, "short_factor is 0.0"),
        ({"sliding_window": 0}, "sliding_window is 0"),
        ({"hidden_act": "gelu"}, "hidden_act"),
    ],
)
def test_what_is_not_supported_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ConversionError, match=named):
        everything(converter(**changes))


def logits(directory: Path, context: int) -> Any:
    with closing(ollamax.load(str(directory), backend="cpu", num_ctx=context)) as model:
        return model.logits(TOKENS)


def test_the_context_decides_between_the_factors(tmp_path: Path) -> None:
    directory = CHECKPOINT.save(tmp_path / "model")
    within, at_original, beyond = (logits(directory, length) for length in (32, 64, 65))
    np.testing.assert_array_equal(within, at_original)
    assert np.abs(beyond - within).max() > 1e-3

    # Beyond the original context the short ones play no part.
    file = directory / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config["rope_scaling"]["short_factor"] = [9.0] * 8
    file.write_text(json.dumps(config), encoding="utf-8")
    np.testing.assert_array_equal(logits(directory, 65), beyond)


def test_a_file_that_lost_its_factors_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = CHECKPOINT.save(tmp_path / "model")
    monkeypatch.setattr(Phi3Converter, "extras", lambda self: ())
    with pytest.raises(BindingError, match=r"missing: rope_factors_long\.weight, rope_factors_short\.weight"):
        ollamax.load(str(directory), backend="cpu")
