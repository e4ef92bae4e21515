"""`ollamax create --dry-run`: everything is told, nothing is written."""

import json

import numpy as np
import pytest
import safetensors.numpy
from toy_model import DIM, VOCAB, ToyConverter, blob, embedding, fails, run, save_gguf

from ollamax.types import DType

# Dry runs -------------------------------------------------------------------------------------------------------------


class Strict(ToyConverter):
    """A converter that knows every tensor, leaves out buffers."""

    ignore = (r".*inv_freq$",)

    def shapes(self):
        return {"token_embd.weight": (VOCAB, DIM), "output_norm.weight": (DIM,)}


@pytest.fixture
def strict(registry, monkeypatch):
    registry.converters["ToyForCausalLM"] = Strict
    monkeypatch.setattr("ollamax.engine.dry_run.get_registry", lambda: registry)
    return registry


def dry(work, capsys, text, *arguments):
    """Exit status, standard output and the lines of errors of a dry run."""
    status = run(work, text, "--dry-run", *arguments)
    shown = capsys.readouterr()
    return status, shown.out, shown.err.splitlines()


def test_a_dry_run_lists_what_a_real_one_writes(work, checkpoint, store, strict, capsys):
    status, out, errors = dry(work, capsys, "FROM hf", "--quantize", "q8_0", "--json")
    assert (status, errors) == (0, [])
    plan = json.loads(out)
    assert not store.root.exists()
    assert run(work, "FROM hf", "--quantize", "q8_0") == 0
    with blob(store.get("mine")) as file:
        assert {row["name"]: (row["type"], tuple(row["shape"])) for row in plan["tensors"]} == {
            name: (info.dtype.name, info.shape) for name, info in file.tensors.items()
        }
        assert plan["bytes"] == sum(info.nbytes for info in file.tensors.values())
    assert (plan["ok"], plan["problems"], plan["counts"]) == (True, [], {"mapped": 2})
    row = next(row for row in plan["tensors"] if row["source"] == "embed.weight")
    assert (row["status"], row["source_type"], row["name"]) == ("mapped", "F32", "token_embd.weight")


def test_a_dry_run_for_people(work, checkpoint, store, strict, capsys):
    status, out, _ = dry(work, capsys, "FROM hf", "--quantize", "q8_0")
    assert status == 0
    embed = next(line for line in out.splitlines() if "embed.weight" in line)
    assert " ".join(embed.split()) == "mapped embed.weight token_embd.weight 256 x 64 F32 -> Q8_0 17.4 kB"
    assert out.splitlines()[-1] == "2 tensors: 2 mapped; 17.7 kB to write"


def test_a_dry_run_of_a_file(work, store, strict, capsys):
    save_gguf(work / "x.gguf")
    status, out, _ = dry(work, capsys, "FROM ./x.gguf", "--quantize", "f16", "--json")
    assert status == 0
    assert [row["type"] for row in json.loads(out)["tensors"]] == ["F32", "F16"]
    assert not store.root.exists()


def test_a_dry_run_reports_everything_at_once(work, checkpoint, store, strict, capsys):
    tensors = {
        "embed.weight": embedding()[:7],
        "norm.bias": np.ones(DIM, np.float32),
        "rotary.inv_freq": np.ones(3, np.float32),
        "head.weight": np.ones((2, 2), np.float32),
        "norm.ids": np.ones(3, np.int64),
    }
    safetensors.numpy.save_file(tensors, checkpoint / "model.safetensors")
    status, out, errors = dry(work, capsys, "FROM hf", "--json")
    plan = json.loads(out)
    assert status == 1
    assert not plan["ok"]
    assert {row["source"]: row["status"] for row in plan["tensors"]} == {
        "embed.weight": "misshapen",
        "norm.bias": "unused",
        "rotary.inv_freq": "ignored",
        "head.weight": "unmapped",
        "norm.ids": "unmapped",
        None: "missing",
    }
    assert len(plan["problems"]) == 5
    assert all(f"Error: {problem}" in errors for problem in plan["problems"])
    assert "mine:latest cannot be created, for 5 reasons given above" in errors[-1]
    assert any("embed.weight is 7 x 64, not 256 x 64" in problem for problem in plan["problems"])
    assert not store.root.exists()
    assert dry(work, capsys, "FROM hf")[0] == 1


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("tokenizer.json", "{}", "no tokenizer; looked for"),
        ("config.json", '{"architectures": ["StrangerForCausalLM"], "vocab_size": 256}', "'stranger' is not installed"),
    ],
)
def test_a_dry_run_finds_what_is_wrong_beside_the_tensors(work, checkpoint, store, strict, capsys, file, text, problem):
    (checkpoint / file).write_text(text)
    status, out, errors = dry(work, capsys, "FROM hf", "--json")
    assert status == 1
    assert problem in json.loads(out)["problems"][0]
    assert len(errors) == 2
    assert errors[-1].endswith("for 1 reason given above")


TEMPLATE = "{{ raise_exception('never') }}"


def test_a_dry_run_tells_of_everything_beside_the_tensors_too(work, checkpoint, store, strict, capsys):
    safetensors.numpy.save_file({"norm.weight": np.ones(3, np.float32)}, checkpoint / "model.safetensors")
    (checkpoint / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<nowhere>"}))
    text = "FROM hf\nPARAMETER topk 3\nPARAMETER num_ctx many\nPARAMETER top_k 3\nTEMPLATE {{ .Prompt"
    status, out, errors = dry(work, capsys, text, "--json")
    problems = json.loads(out)["problems"]
    assert status == 1
    assert errors[:-1] == [f"Error: {problem}" for problem in problems]
    parts = ["norm.weight is 3, not 64", "token_embd.weight is missing", "'<nowhere>' is not in the vocabulary"]
    parts += ["line 2: unknown option 'topk'", "line 3: option num_ctx: 'many' is not", "template"]
    assert len(problems) == len(parts)
    assert all(part in problem for part, problem in zip(parts, problems, strict=True))
    assert not store.root.exists()


@pytest.mark.parametrize("rows", [VOCAB, 7])
def test_a_dry_run_looks_at_the_model_as_if_its_tensors_were_sound(
    work, checkpoint, store, strict, capsys, monkeypatch, rows
):
    monkeypatch.setattr(Strict, "rename", ((r"embed\.", "token_embd."), (r"norm\.", "elsewhere.")))
    shapes = {"token_embd.weight": (VOCAB, DIM), "elsewhere.weight": (DIM,)}
    monkeypatch.setattr(Strict, "shapes", lambda self: shapes)
    tensors = {"embed.weight": embedding()[:rows], "norm.weight": np.ones(DIM, np.float32)}
    safetensors.numpy.save_file(tensors, checkpoint / "model.safetensors")
    (checkpoint / "chat_template.jinja").write_text(TEMPLATE)
    _, out, _ = dry(work, capsys, "FROM hf\nPARAMETER num_ctx 9", "--json")
    *shape, binding, context, template = json.loads(out)["problems"]
    assert len(shape) == (rows != VOCAB)
    assert binding.endswith("hf does not fit architecture toy: missing: output_norm.weight; unused: elsewhere.weight")
    assert "was trained for 8 tokens at most" in context
    assert "renders no chat" in template


def test_a_dry_run_of_a_file_tells_of_everything(work, store, strict, capsys):
    save_gguf(work / "x.gguf", tokenizer__ggml__pre="weird", tokenizer__chat_template=TEMPLATE, tensors=())
    _, out, _ = dry(work, capsys, "FROM ./x.gguf\nPARAMETER num_ctx 9", "--json")
    problems = json.loads(out)["problems"]
    parts = ["missing: token_embd.weight", "was trained for 8 tokens", "'weird', which no plugin", "renders no chat"]
    assert len(problems) == len(parts)
    assert all(part in problem for part, problem in zip(parts, problems, strict=True))


def test_a_dry_run_of_nothing(work, store, strict, capsys):
    fails(capsys, 1, "there is no file", run(work, "FROM ./absent.gguf", "--dry-run"))


def test_json_is_for_dry_runs_only(work, checkpoint, store, capsys):
    fails(capsys, 2, "--json prints the list of --dry-run", run(work, "FROM hf", "--json"))


# Weights that are not what one hopes ----------------------------------------------------------------------------------


def test_a_dry_run_tells_of_few_bits(work, store, strict, capsys):
    save_gguf(work / "x.gguf", DType.Q4_0)
    status, _, errors = dry(work, capsys, "FROM ./x.gguf", "--quantize", "Q8_0")
    assert (status, "add --allow-requantize" in errors[0]) == (1, True)
    assert dry(work, capsys, "FROM ./x.gguf", "--quantize", "Q8_0", "--allow-requantize")[0] == 0
