"""`ollamax inspect`: what is shown of a model, and what keeps it from running."""

import json
from pathlib import Path

import pytest
from random_checkpoint import save_random_checkpoint
from random_llama import write_random_llama

from ollamax.cli.main import main
from ollamax.testing.byte_level import LLAMA3_SPLIT


def inspect(capsys, path):
    assert main(["inspect", str(path), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def groups(found):
    return {group["pattern"]: group for group in found["tensors"]}


def test_a_gguf_file(tmp_path, capsys):
    found = inspect(capsys, write_random_llama(tmp_path / "a.gguf", tokenizer__chat_template="{{ messages }}"))
    assert (found["format"], found["architecture"], found["checkpoint"]) == ("gguf", "llama", None)
    assert (found["runs"], found["missing"]) == (True, [])
    assert found["hyper_parameters"]["llama.attention.head_count_kv"] == 2
    q = groups(found)["blk.{0..1}.attn_q.weight"]
    assert (q["count"], q["shape"], q["dtype"], q["becomes"]) == (2, [32, 32], "F32", "")
    assert found["tokenizer"]["model"] == "gpt2"
    assert (found["tokenizer"]["pre"], found["tokenizer"]["tokens"]) == ("gpt-2", 258)
    assert found["tokenizer"]["bos_token_id"] == 256
    assert found["templates"] == {"default": "{{ messages }}"}
    assert found["plugins"]["architecture"] == "ollamax-plugin-llama"
    assert found["plugins"]["pre-tokenizer"] == "ollamax-core"


def test_a_checkpoint_shows_both_names_of_a_tensor(tmp_path, capsys):
    found = inspect(capsys, save_random_checkpoint(tmp_path / "hf", "Llama", LLAMA3_SPLIT))
    assert (found["checkpoint"], found["architecture"], found["runs"]) == ("LlamaForCausalLM", "llama", True)
    q = groups(found)["model.layers.{0..2}.self_attn.q_proj.weight"]
    assert q["becomes"] == "blk.{0..2}.attn_q.weight"
    assert found["parameters"] == 128_832
    assert found["plugins"]["checkpoint"] == "ollamax-plugin-llama"


def test_a_checkpoint_that_no_plugin_takes(tmp_path, capsys):
    found = inspect(capsys, save_random_checkpoint(tmp_path / "hf", "Stranger", LLAMA3_SPLIT))
    assert (found["checkpoint"], found["architecture"], found["runs"]) == ("StrangerForCausalLM", None, False)
    (missing,) = found["missing"]
    assert "no converter for checkpoints of 'StrangerForCausalLM'" in missing
    assert found["hyper_parameters"]["num_key_value_heads"] == 2
    assert groups(found)["model.layers.{0..2}.mlp.up_proj.weight"]["shape"] == [96, 64]
    assert found["tokenizer"]["model"] == "gpt2"
    assert (found["plugins"]["checkpoint"], found["plugins"]["tokenizer"]) == (None, "ollamax-core")


def test_an_architecture_that_nobody_has(tmp_path, capsys):
    found = inspect(capsys, write_random_llama(tmp_path / "a.gguf", general__architecture="stranger"))
    assert found["architecture"] == "stranger"
    assert any("architecture 'stranger' is not installed" in line for line in found["missing"])
    assert found["plugins"]["architecture"] is None
    assert "blk.{0..1}.attn_q.weight" in groups(found)


def test_everything_that_is_missing_is_listed(tmp_path, capsys):
    path = write_random_llama(tmp_path / "a.gguf", drop="blk.1.ffn_norm.weight", tokenizer__ggml__pre="nobodys")
    found = inspect(capsys, path)
    assert any("blk.1.ffn_norm.weight" in line for line in found["missing"])
    assert any("nobodys" in line for line in found["missing"])
    assert found["plugins"]["pre-tokenizer"] is None


def test_keys_of_another_kind(tmp_path, capsys):
    found = inspect(
        capsys, write_random_llama(tmp_path / "a.gguf", tokenizer__ggml__tokens=list("ab"), tokenizer__ggml__merges=5)
    )
    assert (found["runs"], found["tokenizer"]["tokens"], "merges" in found["tokenizer"]) == (False, 2, False)


def test_a_variant_that_the_converter_refuses(tmp_path, capsys):
    found = inspect(capsys, save_random_checkpoint(tmp_path / "hf", "Llama", LLAMA3_SPLIT, hidden_act="gelu"))
    assert (found["architecture"], found["plugins"]["architecture"]) == ("llama", "ollamax-plugin-llama")
    assert found["missing"] == ["config.json: hidden_act 'gelu' is not supported; expected 'silu'"]
    assert found["hyper_parameters"]["hidden_act"] == "gelu"
    assert "model.layers.{0..2}.mlp.up_proj.weight" in groups(found)


def damaged(directory: Path, file: str, content: bytes | None) -> Path:
    (directory / file).unlink() if content is None else (directory / file).write_bytes(content)
    return directory


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
def test_a_part_that_is_gone_leaves_the_others(tmp_path, capsys, file):
    found = inspect(capsys, damaged(save_random_checkpoint(tmp_path / "hf", "Llama", LLAMA3_SPLIT), file, None))
    assert found["runs"] is False
    assert bool(found["tensors"]) is (file == "tokenizer.json")
    assert ("model" in found["tokenizer"]) is (file == "model.safetensors")
    assert len(found["missing"]) == 1


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [("config.json", b"[", "not valid JSON"), ("config.json", b"[1]", "expected an object")],
)
def test_what_cannot_be_opened_is_an_error(tmp_path, capsys, file, content, problem):
    directory = damaged(save_random_checkpoint(tmp_path / "hf", "Llama", LLAMA3_SPLIT), file, content)
    assert main(["inspect", str(directory)]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("Error: ")
    assert shown.err.count("\n") == 1
    assert problem in shown.err


def test_for_people(tmp_path, capsys):
    directory = save_random_checkpoint(tmp_path / "hf", "Llama", LLAMA3_SPLIT)
    (directory / "chat_template.jinja").write_text("{{ messages }}\n\x1b[2Jsecond")
    assert main(["inspect", str(directory)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  checkpoint    LlamaForCausalLM" in lines
    (row,) = [line for line in lines if "self_attn.v_proj" in line]
    assert row.split("    ")[-1].strip() == "blk.{0..2}.attn_v.weight"
    assert lines[-2:] == ["Missing", "  nothing: it can be run"]
