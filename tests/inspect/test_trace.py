"""`ollamax trace`: names, values, backends, and what is saved."""

import json

import numpy as np
import pytest
from random_llama import write_random_llama
from random_qwen2 import write_random_qwen2

import ollamax
from ollamax.cli.main import main
from ollamax.engine.resolve import resolve
from ollamax.errors import OutputError, TraceError
from ollamax.gguf import open_gguf
from ollamax.inspect.statistics import statistics
from ollamax.inspect.trace_directory import MANIFEST, TENSORS, load_trace, save_trace
from ollamax.inspect.tracing import trace_model
from ollamax.ml.dtype import dequantize
from ollamax.plugins import get_registry
from ollamax.types import DType

IDS = [256, 104, 105, 33, 7, 104]
ATTENTION = ["attn_norm", "attn_q", "query", "attn_k", "key", "attn_v", "attention", "attn_output"]
MLP = ["ffn_norm.input", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down.input", "ffn_down"]


@pytest.fixture
def model(tmp_path):
    return write_random_llama(tmp_path / "m.gguf")


def traced(path, backend="cpu", prompt=IDS):
    return trace_model(resolve(str(path)), prompt, get_registry(), backend)


def test_every_tensor_of_a_block_has_a_name(model, backend):
    expected = ["token_embd"]
    for block in ("blk.0", "blk.1"):
        expected += [f"{block}.{name}" for name in (*ATTENTION, *MLP)] + [block]
    assert list(traced(model, backend).tensors) == [*expected, "output_norm", "logits"]


def test_values_are_those_of_the_model(model, backend):
    trace = traced(model, backend)
    with ollamax.load(model, backend=backend) as loaded:
        logits = loaded.logits(IDS)
    values = trace.tensors
    np.testing.assert_allclose(values["logits"], logits, rtol=0, atol=1e-4 * np.abs(logits).max())
    np.testing.assert_allclose(values["blk.1"], values["blk.1.ffn_norm.input"] + values["blk.1.ffn_down"], atol=1e-4)
    file = open_gguf(model)
    weight = {name: dequantize(file.tensor_bytes(name), DType.F32, file.tensors[name].shape) for name in file.tensors}
    embedded = weight["token_embd.weight"][IDS]
    np.testing.assert_array_equal(values["token_embd"], embedded)
    normed = embedded / np.sqrt((embedded**2).mean(-1, keepdims=True) + 1e-5) * weight["blk.0.attn_norm.weight"]
    np.testing.assert_allclose(values["blk.0.attn_norm"], normed, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(values["blk.0.attn_v"], normed @ weight["blk.0.attn_v.weight"].T, atol=1e-3)


def test_a_step_of_a_windowed_model(tmp_path, backend):
    path = write_random_qwen2(tmp_path / "w.gguf", [None, 2])
    with ollamax.load(path, backend=backend) as loaded:
        logits = loaded.logits(IDS)
    np.testing.assert_allclose(traced(path, backend).tensors["logits"], logits, atol=1e-4 * np.abs(logits).max())


def test_json_and_table(model, capsys):
    arguments = ["trace", str(model), "--tokens", "256, 104 105", "--backend", "cpu"]
    assert main([*arguments, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["backend"], shown["tokens"], shown["weights"]) == ("cpu", [256, 104, 105], "F32")
    value = traced(model, prompt=[256, 104, 105]).tensors["blk.1.query"]
    row = next(row for row in shown["tensors"] if row["name"] == "blk.1.query")
    assert (row["shape"], row["dtype"], row["not_finite"]) == ([3, 4, 8], "float32", 0)
    figures = [row["mean"], row["std"], row["min"], row["max"]]
    np.testing.assert_allclose(figures, [value.mean(), value.std(), value.min(), value.max()], rtol=1e-5, atol=1e-7)
    assert row["first"] == [float(item) for item in value[-1, 0, :4]]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "llama on cpu, 3 tokens: 256 104 105"
    assert len(lines) == len(shown["tensors"]) + 2


def test_what_is_not_finite_is_counted():
    found = statistics(np.array([[1, np.inf], [np.nan, 3]], np.float32))
    assert (found.mean, found.min, found.max, found.not_finite, found.first) == (2.0, 1.0, 3.0, 2, [None, 3.0])
    assert statistics(np.full((1, 2), np.nan, np.float32)).mean is None


def test_what_is_saved_is_read_again(model, tmp_path, capsys):
    assert main(["trace", str(model), "-p", "hi", "--backend", "cpu", "--save", str(tmp_path / "t")]) == 0
    trace, saved = traced(model, prompt="hi"), load_trace(tmp_path / "t")
    assert saved.tokens == trace.tokens == (256, 104, 105)
    assert (saved.vocabulary, saved.layers, saved.weights, saved.made_by) == (258, 2, "F32", "cpu")
    assert saved.modules == trace.modules
    assert "blk.1.ffn_norm" in saved.modules
    assert list(saved.tensors) == list(trace.tensors)
    for name, value in trace.tensors.items():
        np.testing.assert_array_equal(saved.tensors[name], value)
    assert sorted(path.name for path in (tmp_path / "t").iterdir()) == [TENSORS, MANIFEST]


def test_the_digest_is_that_of_the_weights(tmp_path):
    paths = [write_random_llama(tmp_path / f"{at}.gguf", seed) for at, seed in enumerate((0, 0, 1))]
    traces = [trace_model(resolve(str(path)), IDS, get_registry(), "cpu", digest=True) for path in paths]
    assert traces[0].digest == traces[1].digest != traces[2].digest
    assert traces[0].digest.startswith("sha256:")


def fails(capsys, status, problem, *arguments):
    assert main(["trace", *arguments]) == status
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert problem in shown.err


def test_wrong_calls(model, capsys):
    fails(capsys, 2, "give the prompt as one of -p TEXT and --tokens IDS", str(model))
    fails(capsys, 2, "give the prompt as one of", str(model), "-p", "x", "--tokens", "1")
    fails(capsys, 2, "expected whole numbers", str(model), "--tokens", "1,x")
    fails(capsys, 2, "token id 258 is outside the vocabulary", str(model), "--tokens", "258")
    fails(capsys, 2, "was trained for 128", str(model), "--tokens", ",".join(["1"] * 129))
    fails(capsys, 1, "backend 'none' is not installed", str(model), "-p", "x", "--backend", "none")
    fails(capsys, 1, "no such file", "./absent", "-p", "x")


def test_a_folder_that_is_not_free_stays_as_it_is(model, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    before = sorted(tmp_path.rglob("*"))
    fails(capsys, 2, "exists and is not an empty directory", str(model), "-p", "x", "--save", str(tmp_path / "full"))
    fails(capsys, 2, "exists and is not an empty directory", str(model), "-p", "x", "--save", str(model))
    fails(capsys, 2, "does not exist; make it first", str(model), "-p", "x", "--save", str(tmp_path / "a" / "b"))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_trace_that_cannot_be_finished_leaves_nothing(model, tmp_path, monkeypatch):
    trace, before = traced(model), sorted(tmp_path.iterdir())

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(OutputError, match="t cannot be written: No space left on device"):
        save_trace(trace, tmp_path / "t")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"format": 2}, "format 2 is unknown"),
        ({"tokens": "abc"}, "'abc' is no list"),
        ({"tokens": [1, "x"]}, "'x' is no int"),
        ({"tokens": []}, "at least one token"),
        ({"tokens": [1]}, "a row for each of 1 tokens"),
        ({"vocabulary": None}, "None is no int"),
        ({"tensors": {"logits": [6, 258]}}, "does not hold the tensors"),
    ],
)
def test_a_damaged_manifest(model, tmp_path, change, problem):
    save_trace(traced(model), tmp_path / "t")
    manifest = tmp_path / "t" / MANIFEST
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | change))
    with pytest.raises(TraceError, match=problem):
        load_trace(tmp_path / "t")


def test_damaged_tensors(model, tmp_path):
    save_trace(traced(model), tmp_path / "t")
    path = tmp_path / "t" / TENSORS
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(TraceError, match=TENSORS):
        load_trace(tmp_path / "t")
    path.unlink()
    with pytest.raises(TraceError, match=TENSORS):
        load_trace(tmp_path / "t")
