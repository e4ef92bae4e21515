"""Random checkpoints that a JSON file describes."""

import json
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from ollamax.errors import UsageError
from ollamax.testing.random_checkpoint import RandomCheckpoint, main

CONFIG = {"num_hidden_layers": 2}
SHAPES: dict[str, list[int | str]] = {"embed.weight": ["vocab_size", 4], "layers.*.norm.weight": [4], "bias": [4]}


def described(folder: Path, **changes: object) -> Path:
    path = folder / "checkpoint.json"
    path.write_text(json.dumps({"config": CONFIG, "shapes": SHAPES, **changes}), encoding="utf-8")
    return path


def test_it_is_written_and_is_always_the_same(tmp_path: Path) -> None:
    path = described(tmp_path)
    for name in ("one", "two"):
        assert main([str(path), str(tmp_path / name)]) == 0
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert {name: value.shape for name, value in one.items()} == {
        "embed.weight": (283, 4),
        "layers.0.norm.weight": (4,),
        "layers.1.norm.weight": (4,),
        "bias": (4,),
    }
    assert all((one[name] == two[name]).all() for name in one)
    assert (one["layers.0.norm.weight"] != one["layers.1.norm.weight"]).any()
    assert json.loads((tmp_path / "one" / "config.json").read_text()) == {**CONFIG, "vocab_size": 283}


def test_a_tensor_does_not_depend_on_others(tmp_path: Path) -> None:
    alone = RandomCheckpoint(CONFIG, {"bias": [4]}).save(tmp_path / "alone")
    among = RandomCheckpoint(CONFIG, SHAPES).save(tmp_path / "among")
    bias = [load_file(folder / "model.safetensors")["bias"].tolist() for folder in (alone, among)]
    assert bias[0] == bias[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shapes": {"w": [0, 4]}}, "w: shape [0, 4]; expected whole numbers from 1 on, or 'vocab_size'"),
        ({"shapes": {"w": ["many"]}}, "w: shape ['many']; expected whole numbers"),
        ({"shapes": {"w": 4}}, "w: shape 4; expected a list"),
        ({"shapes": []}, "expected an object of config and shapes"),
        ({"more": {}}, "expected an object of config and shapes"),
        ({"config": {}}, "layers.*.norm.weight: config has no num_hidden_layers, which the star counts up to"),
    ],
)
def test_what_describes_none_is_named(
    tmp_path: Path, changes: dict[str, object], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(described(tmp_path, **changes)), str(tmp_path / "new")]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_a_directory_that_exists_and_a_call_without_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = described(tmp_path)
    assert main([str(path), str(tmp_path)]) == 2
    assert main([str(path)]) == 2
    assert main([str(tmp_path / "none.json"), str(tmp_path / "new")]) == 1
    assert "usage: python -m ollamax.testing.random_checkpoint JSON DIRECTORY" in capsys.readouterr().err
    with pytest.raises(UsageError, match="not an empty directory"):
        RandomCheckpoint.read(path).save(tmp_path)
