"""`ollamax compare`: with transformers, with a saved trace, and backend with backend."""

import json
import sys

import pytest
from random_checkpoint import save_random_checkpoint
from random_llama import write_random_llama
from safetensors.numpy import load_file, save_file

from ollamax.cli.main import main
from ollamax.testing.byte_level import LLAMA3_SPLIT, QWEN2_SPLIT

IDS = "5,17,200,9,33"


def compare(capsys, *arguments):
    """Exit status, the parsed comparisons and the lines of errors."""
    capsys.readouterr()  # what making the models printed
    status = main(["compare", *map(str, arguments), "--json"])
    shown = capsys.readouterr()
    return status, json.loads(shown.out), shown.err.splitlines()


def fails(capsys, status, problem, *arguments):
    capsys.readouterr()
    assert main(["compare", *map(str, arguments)]) == status
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert problem in shown.err


@pytest.fixture
def model(tmp_path):
    return write_random_llama(tmp_path / "m.gguf")


def test_backend_beside_backend(model, capsys):
    status, (found,), errors = compare(capsys, model, "--backend", "cpu,ggml", "--tokens", IDS)
    assert (status, errors, found["first"]) == (0, [], None)
    assert (found["reference"], found["made_by"], found["tolerance"]) == ("cpu", "ggml", 1e-4)
    assert [row["name"] for row in found["rows"]][-2:] == ["output_norm", "logits"]
    assert all(row["status"] == "same" and row["relative"] < 1e-5 for row in found["rows"])


def test_no_tolerance_finds_rounding(model, capsys):
    arguments = (model, "--backend", "cpu,ggml", "--tokens", IDS, "--tolerance", "0")
    status, (found,), (error,) = compare(capsys, *arguments)
    assert status == 1
    assert error.startswith(
        f"Error: {found['first']} is the first tensor that departs on ggml beside cpu: relative error "
    )
    assert main(["compare", *map(str, arguments)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ggml beside cpu, tolerance 0"
    assert len(lines) == len(found["rows"]) + 2
    assert next(line for line in lines if line.endswith("departs")).split()[0] == found["first"]


def test_a_saved_trace_brings_its_tokens(model, tmp_path, capsys):
    saved = tmp_path / "t"
    assert main(["trace", str(model), "--tokens", IDS, "--backend", "cpu", "--save", str(saved)]) == 0
    capsys.readouterr()
    assert main(["compare", str(model), "--reference", str(saved), "--backend", "cpu,ggml"]) == 0
    assert capsys.readouterr().out.count("tensors are the same within the tolerance") == 2
    other = write_random_llama(tmp_path / "other.gguf", seed=1)
    assert main(["compare", str(other), "--reference", str(saved), "--backend", "cpu"]) == 1
    shown = capsys.readouterr()
    assert "the reference was computed from other weights" in shown.out
    assert "Error: token_embd is the first tensor that departs" in shown.err


def test_references_of_something_else(model, tmp_path, capsys):
    saved = tmp_path / "t"
    assert main(["trace", str(model), "--tokens", IDS, "--save", str(saved)]) == 0
    capsys.readouterr()
    fails(capsys, 1, "is a trace of another prompt", model, "--reference", saved, "--tokens", "1,2")
    fails(capsys, 1, "is a trace of another prompt", model, "--reference", saved, "-p", "hi")
    deep = write_random_llama(tmp_path / "deep.gguf", llama__block_count=3)
    fails(capsys, 1, "another layer count than", deep, "--reference", saved)
    hf = save_random_checkpoint(tmp_path / "hf", "Llama", LLAMA3_SPLIT)
    fails(capsys, 1, "another vocabulary than", hf, "--reference", saved)
    qwen2 = save_random_checkpoint(tmp_path / "qwen2", "Qwen2", QWEN2_SPLIT)
    fails(capsys, 1, "another architecture than", qwen2, "--reference", saved)
    (saved / "trace.json").write_text("{}")
    fails(capsys, 1, "format None is unknown", model, "--reference", saved)


def test_wrong_calls(model, tmp_path, capsys):
    fails(capsys, 2, "give --reference, or two backends", model, "-p", "hi")
    fails(capsys, 2, "give the prompt as one of", model, "--backend", "cpu,ggml")
    fails(capsys, 2, "give the prompt as one of", model, "--reference", tmp_path)
    fails(capsys, 2, "does not exist", model, "--reference", tmp_path / "absent", "-p", "hi")
    fails(capsys, 2, "'' is not a name", model, "--backend", "cpu,", "-p", "hi")
    fails(capsys, 2, "--tolerance", model, "--backend", "cpu,ggml", "-p", "hi", "--tolerance", "-1")
    fails(capsys, 2, "--tolerance", model, "--backend", "cpu,ggml", "-p", "hi", "--tolerance", "nan")


def test_without_transformers_the_extra_is_named(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    before = sorted(tmp_path.iterdir())
    extra = "pip install 'ollamax-core[reference]'"
    fails(capsys, 1, extra, model, "--reference", tmp_path, "-p", "hi")
    hf = save_random_checkpoint(tmp_path / "hf", "Llama", LLAMA3_SPLIT)
    assert main(["trace", str(hf), "--reference", "-p", "hi", "--save", str(tmp_path / "t")]) == 1
    assert extra in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == [hf, *before]


ROPE = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LLAMAS = {
    "grouped": {},
    "tied": {"tie_word_embeddings": True},
    "wide-heads": {"head_dim": 32},
    "one-layer": {"num_hidden_layers": 1},
    "biases": {"attention_bias": True, "mlp_bias": True},
    "llama3-rope": {"rope_parameters": ROPE | {"original_max_position_embeddings": 64}},
}


@pytest.mark.reference
@pytest.mark.parametrize("name", LLAMAS)
def test_llamas_beside_transformers(llama_checkpoint, capsys, backend, name):
    directory = llama_checkpoint(**LLAMAS[name])
    status, (found,), errors = compare(
        capsys, directory, "--reference", directory, "--backend", backend, "-p", "the cat sat on the mat"
    )
    assert (status, errors, found["uncompared"]) == (0, [], [])
    layers = LLAMAS[name].get("num_hidden_layers", 3)
    # Embedding, norm and logits; of each layer nine results of modules and three of attention, two inputs, itself.
    assert len(found["rows"]) == 3 + layers * 15


@pytest.mark.reference
def test_windows_beside_transformers(qwen2_checkpoint, capsys, backend):
    directory = qwen2_checkpoint(use_sliding_window=True, sliding_window=4, max_window_layers=1)
    status, (found,), errors = compare(
        capsys, directory, "--reference", directory, "--backend", backend, "-p", "the cat sat on the mat and ran"
    )
    assert (status, errors, found["uncompared"]) == (0, [], [])


@pytest.mark.reference
def test_the_text_part_of_a_model_that_sees(mllama_checkpoint, capsys, backend):
    arguments = ("--reference", mllama_checkpoint, "--tokens", IDS, "--backend", backend)
    status, (found,), errors = compare(capsys, mllama_checkpoint, *arguments)
    assert (status, errors) == (0, [])
    # Layers 1 and 3 look at pictures, and there are none; the token of a picture is read and never given.
    assert {row["name"].partition(".attn_q")[0] for row in found["rows"] if ".attn_q" in row["name"]} == {
        "blk.0",
        "blk.2",
        "blk.4",
    }
    assert found["uncompared"] == ["output"]


@pytest.mark.reference
def test_a_quantised_file_beside_the_checkpoint(llama_checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OLLAMAX_MODELS", str(tmp_path / "store"))
    directory = llama_checkpoint()
    (tmp_path / "Modelfile").write_text(f"FROM {directory}")
    assert main(["create", "mine", "-f", str(tmp_path / "Modelfile"), "--quantize", "Q8_0"]) == 0
    arguments = ("mine", "--reference", directory, "--tokens", IDS, "--backend", "cpu")
    status, (found,), _ = compare(capsys, *arguments)
    assert (status, found["tolerance"]) == (0, 0.25)
    assert compare(capsys, *arguments, "--tolerance", "1e-4")[1][0]["first"] == "token_embd"


@pytest.mark.reference
def test_checkpoints_of_another_model(llama_checkpoint, qwen2_checkpoint, tmp_path, capsys):
    directory = llama_checkpoint()
    given = ("--tokens", IDS, "--backend", "cpu")
    fails(
        capsys,
        1,
        "another layer count",
        directory,
        "--reference",
        llama_checkpoint(seed=1, num_hidden_layers=2),
        *given,
    )
    fails(capsys, 1, "another architecture", directory, "--reference", qwen2_checkpoint(), *given)
    fails(capsys, 1, "another vocabulary", write_random_llama(tmp_path / "m.gguf"), "--reference", directory, *given)
    (directory / "model.safetensors").rename(directory / "gone")
    other = llama_checkpoint(seed=2)
    fails(capsys, 1, str(directory), other, "--reference", directory, *given)


@pytest.mark.reference
def test_attention_that_cannot_be_seen_is_not_compared(llama_checkpoint, monkeypatch, capsys):
    import transformers

    # As a model behaves that does not use transformers' attention interface.
    monkeypatch.setattr("ollamax.inspect.reference._ATTENTION", "unknown")
    monkeypatch.setattr(transformers.AttentionInterface, "register", lambda *_: None)
    directory = llama_checkpoint()
    arguments = ("--reference", directory, "--tokens", IDS, "--backend", "cpu")
    status, (found,), errors = compare(capsys, directory, *arguments)
    assert (status, errors) == (0, [])
    assert {"blk.0.query", "blk.0.key", "blk.0.attention"} <= set(found["uncompared"])
    assert {"blk.0.attn_q", "blk.0.attn_output", "logits"} <= {row["name"] for row in found["rows"]}


@pytest.mark.reference
def test_a_reference_that_lacks_a_weight(llama_checkpoint, capsys):
    directory, other = llama_checkpoint(), llama_checkpoint(seed=1)
    tensors = load_file(directory / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    problem = "the checkpoint lacks model.layers.1.mlp.up_proj.weight"
    fails(capsys, 1, problem, other, "--reference", directory, "--tokens", IDS, "--backend", "cpu")


@pytest.mark.reference
def test_a_reference_s_own_trace(llama_checkpoint, model, tmp_path, capsys):
    directory, saved = llama_checkpoint(), tmp_path / "t"
    arguments = ["trace", str(directory), "--reference", "-p", "the cat", "--save", str(saved), "--json"]
    assert main(arguments) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["backend"], shown["digest"][:7]) == ("transformers", "sha256:")
    status, (found,), _ = compare(capsys, directory, "--reference", saved, "--backend", "cpu")
    assert (status, found["same_weights"]) == (0, True)
    assert main(["trace", str(model), "--reference", "-p", "x"]) == 2
    assert "--reference takes a Hugging Face directory" in capsys.readouterr().err
    assert main(["trace", str(directory), "--reference", "-p", "x", "--backend", "cpu"]) == 2
    assert "leave --backend out" in capsys.readouterr().err
