"""A Hugging Face directory with NaN in a weight runs, and says so."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from click.testing import CliRunner

import ollamax
from ollamax.cli.run import run

pytestmark = pytest.mark.reference

WARNING = "tensor blk.1.ffn_up.weight holds NaN; what the model computes with it will be NaN too"


@pytest.fixture
def spoilt(llama_checkpoint) -> Path:
    directory: Path = llama_checkpoint()
    tensors = safetensors.numpy.load_file(directory / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight"][2, 3] = np.nan
    safetensors.numpy.save_file(tensors, directory / "model.safetensors", {"format": "pt"})
    return directory


def test_without_a_callback_it_is_a_python_warning_of_the_caller(spoilt: Path) -> None:
    with pytest.warns(RuntimeWarning) as told, ollamax.load(spoilt, backend="cpu") as model:
        assert np.isnan(model.logits([3, 4])).all()
    assert [str(warning.message) for warning in told] == [WARNING]
    assert told[0].filename == __file__


def test_a_callback_is_told_instead(spoilt: Path) -> None:
    told: list[str] = []
    ollamax.load(spoilt, backend="cpu", warn=told.append).close()
    assert told == [WARNING]


def test_the_command_prints_it(spoilt: Path) -> None:
    result = CliRunner().invoke(run, [str(spoilt), "hi", "--raw", "--num-predict", "0", "--backend", "cpu"])
    assert (result.exit_code, result.stderr.splitlines()) == (0, [f"Warning: {WARNING}"])


def test_sound_weights_are_no_news(llama_checkpoint) -> None:
    told: list[str] = []
    ollamax.load(llama_checkpoint(), backend="cpu", warn=told.append).close()
    assert told == []
