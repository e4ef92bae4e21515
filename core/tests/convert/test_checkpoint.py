"""Opening Hugging Face directories: what is found, and what is said of a directory that is wrong."""

import json

import numpy as np
import pytest
from torch_pickle import archive, state_dict, storage, tensor

from ollamax.convert.checkpoint import Checkpoint
from ollamax.errors import CheckpointError

CONFIG = {"architectures": ["ToyForCausalLM"], "vocab_size": 3}
A, B, C = (np.full((2, 2), value, np.float32) for value in (1, 2, 3))
FIRST, SECOND = "model-00001-of-00002", "model-00002-of-00002"


def write_index(directory, weight_map):
    text = weight_map if isinstance(weight_map, str) else json.dumps({"weight_map": weight_map})
    (directory / "model.safetensors.index.json").write_text(text)


def values(checkpoint):
    return {name: checkpoint.tensor_bytes(name).view(np.float32)[0] for name in checkpoint.tensors}


def test_single_file(checkpoint_dir):
    checkpoint = Checkpoint(checkpoint_dir(CONFIG, model={"a": A, "b": B}))
    assert (checkpoint.architecture, checkpoint.config) == ("ToyForCausalLM", CONFIG)
    assert values(checkpoint) == {"a": 1, "b": 2}
    checkpoint.close()


def test_shards_by_index(checkpoint_dir):
    directory = checkpoint_dir(CONFIG, **{FIRST: {"a": A}, SECOND: {"b": B, "c": C}})
    write_index(directory, {"a": f"{FIRST}.safetensors", "b": f"{SECOND}.safetensors", "c": f"{SECOND}.safetensors"})
    assert values(Checkpoint(directory)) == {"a": 1, "b": 2, "c": 3}


@pytest.mark.parametrize("names", [["weights"], [FIRST, SECOND]])
def test_without_an_index(checkpoint_dir, names):
    directory = checkpoint_dir(CONFIG, **{name: {name: A} for name in names})
    assert set(Checkpoint(directory).tensors) == set(names)


def failure(directory):
    with pytest.raises(CheckpointError) as caught:
        Checkpoint(directory)
    assert "\n" not in str(caught.value)
    assert str(directory) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (None, "no model; looked for a Hugging Face config.json"),
        ({}, "architectures"),
        ({"architectures": []}, "architectures"),
        ({"architectures": "LlamaForCausalLM"}, "architectures"),
        ({"architectures": [3]}, "architectures"),
        ([1, 2], "expected an object"),
        ({**CONFIG, "quantization_config": {"quant_method": "gptq"}}, "'gptq' are not supported"),
        ({**CONFIG, "quantization_config": {"load_in_8bit": True}}, "'bitsandbytes' are not supported"),
        ({**CONFIG, "quantization_config": "fp8"}, "'fp8' are not supported"),
    ],
)
def test_bad_config(checkpoint_dir, config, problem):
    assert problem in failure(checkpoint_dir(config, model={"a": A}))


def test_a_directory_without_weights_says_what_was_looked_for(checkpoint_dir):
    message = failure(checkpoint_dir(CONFIG))
    for name in ("model.safetensors", "model.safetensors.index.json", "*.safetensors"):
        assert name in message


def pytorch(directory, **files):
    """State dicts, each of one matrix or more."""
    for file, tensors in files.items():
        entries = {
            name: tensor(storage(str(at), b"FloatStorage", value.size), value.shape, (value.shape[1], 1))
            for at, (name, value) in enumerate(tensors.items())
        }
        path = directory / file.replace("__", ".")
        archive(path, state_dict(**entries), [(str(at), value.tobytes()) for at, value in enumerate(tensors.values())])
    return directory


@pytest.mark.parametrize(
    "name", ["pytorch_model__bin", "pytorch_model-00001-of-00001__bin", "consolidated__00__pth", "mine__pth"]
)
def test_one_file_of_pytorch_weights(checkpoint_dir, name):
    directory = pytorch(checkpoint_dir(CONFIG), **{name: {"a": A, "b": B}})
    (directory / "training_args.bin").write_bytes(b"a trainer's own, no weights")
    checkpoint = Checkpoint(directory)
    assert values(checkpoint) == {"a": 1, "b": 2}
    checkpoint.close()


PARTS = {"pytorch_model-00001-of-00002__bin": {"a": A}, "pytorch_model-00002-of-00002__bin": {"b": B}}


@pytest.mark.parametrize("indexed", [True, False])
def test_shards_of_pytorch_weights(checkpoint_dir, indexed):
    directory = pytorch(checkpoint_dir(CONFIG), **PARTS)
    if indexed:
        weight_map = {"a": "pytorch_model-00001-of-00002.bin", "b": "pytorch_model-00002-of-00002.bin"}
        (directory / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert values(Checkpoint(directory)) == {"a": 1, "b": 2}


def test_safetensors_come_before_pytorch(checkpoint_dir):
    directory = pytorch(checkpoint_dir(CONFIG, model={"a": A}), pytorch_model__bin={"a": B})
    assert values(Checkpoint(directory)) == {"a": 1}


@pytest.mark.parametrize(
    ("weight_map", "problem"),
    [
        ({"a": "pytorch_model-00003-of-00003.bin"}, "is missing; download the whole model"),
        ({"a": "../outside.bin"}, "plain file name"),
        ({"a": "model.safetensors"}, "no bin file name"),
        ({"b": "pytorch_model-00001-of-00002.bin"}, "tensor 'b': is not in pytorch_model-00001"),
    ],
)
def test_a_bad_index_of_pytorch_weights(checkpoint_dir, weight_map, problem):
    directory = pytorch(checkpoint_dir(CONFIG), **PARTS)
    (directory / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert problem in failure(directory)


def test_a_missing_shard_of_pytorch_weights(checkpoint_dir):
    directory = pytorch(checkpoint_dir(CONFIG), **PARTS, **{"pytorch_model-00004-of-00004__bin": {"c": C}})
    assert "3 bin files, but neither pytorch_model.bin.index.json nor a full count" in failure(directory)


def test_parts_of_tensors_are_not_guessed_together(checkpoint_dir):
    """Meta's own files split every tensor over the devices."""
    directory = pytorch(checkpoint_dir(CONFIG), consolidated__00__pth={"a": A}, consolidated__01__pth={"a": B})
    assert "2 pth files" in failure(directory)


def test_files_of_unknown_names_are_shown(checkpoint_dir):
    directory = checkpoint_dir(CONFIG)
    (directory / "weights.bin").write_bytes(b"PK")
    assert "holds no weights by a known name, but 'weights.bin'; looked for model.safetensors" in failure(directory)


def test_a_file_is_no_directory(tmp_path):
    path = tmp_path / "x"
    path.touch()
    assert "not a directory" in failure(path)


@pytest.mark.parametrize(
    "names",
    [
        ["one", "two"],
        ["model-00001-of-00003", "model-00003-of-00003"],
        ["model-00001-of-00003"],
        ["a-00001-of-00002", "b-00002-of-00002"],
        ["model-00000-of-00001", FIRST],
    ],
)
def test_files_without_an_index_must_count_to_the_end(checkpoint_dir, names):
    message = failure(checkpoint_dir(CONFIG, **{name: {name: A} for name in names}))
    assert "neither model.safetensors.index.json nor a full count" in message


def test_a_huge_count_in_a_file_name_costs_nothing(checkpoint_dir):
    names = ["model-00001-of-99999", "model-00002-of-99999"]
    assert "full count" in failure(checkpoint_dir(CONFIG, **{name: {name: A} for name in names}))


@pytest.mark.parametrize(
    ("weight_map", "problem"),
    [
        ({"a": f"{FIRST}.safetensors", "b": "model-00002-of-00002.safetensors"}, "is missing"),
        ({"a": f"{FIRST}.safetensors", "b": f"{FIRST}.safetensors"}, "tensor 'b'"),
        ({"a": "../outside.safetensors"}, "plain file name"),
        ({"a": "/etc/outside.safetensors"}, "plain file name"),
        ({"a": "sub/model.safetensors"}, "plain file name"),
        ({"a": "sub\\model.safetensors"}, "plain file name"),
        ({"a": "C:model.safetensors"}, "plain file name"),
        ({"a": "x\0.safetensors"}, "plain file name"),
        ({"a": "x\n.safetensors"}, "plain file name"),
        ({"a": "../config.json"}, "no safetensors file name"),
        ({"a": 1}, "no safetensors file name"),
        ({"a": ["x.safetensors"]}, "no safetensors file name"),
        ({}, "weight_map"),
        ([], "weight_map"),
        ("{", "not valid JSON"),
        ("{}", "weight_map"),
        ('{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}', "key 'a': occurs twice"),
    ],
)
def test_bad_index(checkpoint_dir, weight_map, problem):
    directory = checkpoint_dir(CONFIG, **{FIRST: {"a": A}})
    (directory.parent / "outside.safetensors").write_bytes((directory / f"{FIRST}.safetensors").read_bytes())
    write_index(directory, weight_map)
    assert problem in failure(directory)


def test_a_tensor_in_two_shards(checkpoint_dir):
    directory = checkpoint_dir(CONFIG, **{FIRST: {"a": A}, SECOND: {"a": A, "b": B}})
    write_index(directory, {"a": f"{FIRST}.safetensors", "b": f"{SECOND}.safetensors"})
    assert f"tensor a: also lies in {FIRST}.safetensors" in failure(directory)


def test_a_link_may_not_leave_the_directory(checkpoint_dir):
    directory = checkpoint_dir(CONFIG, outside={"a": A})
    target = (directory / "outside.safetensors").rename(directory.parent / "outside.safetensors")
    (directory / "model.safetensors").symlink_to(target)
    assert "link that leaves the directory" in failure(directory)


def test_a_cache_snapshot_may_link_to_its_own_blobs(checkpoint_dir, tmp_path):
    blob = tmp_path / "models--toy" / "blobs" / "0123"
    snapshot = tmp_path / "models--toy" / "snapshots" / "abc"
    blob.parent.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    (checkpoint_dir(CONFIG, model={"a": A}) / "model.safetensors").rename(blob)
    (snapshot / "model.safetensors").symlink_to(blob)
    (snapshot / "config.json").write_text(json.dumps(CONFIG))
    assert values(Checkpoint(snapshot)) == {"a": 1}


def test_a_broken_link_is_a_missing_shard(checkpoint_dir):
    directory = checkpoint_dir(CONFIG)
    (directory / "weights.safetensors").symlink_to("nowhere")
    assert "is missing" in failure(directory)
