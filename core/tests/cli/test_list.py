import json
import os

import pytest
from click.testing import CliRunner

from ollamax.cli.list import list_models
from ollamax.cli.size import format_size
from ollamax.plugins import BundledModel, Registry


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch):
    monkeypatch.setattr("ollamax.cli.list.get_registry", Registry)


def run(*arguments):
    done = CliRunner().invoke(list_models, list(arguments))
    assert done.exit_code == 0
    return done


def test_an_empty_store_is_a_table_without_rows(store):
    assert run().stdout == "NAME    ID    SIZE    MODIFIED\n"
    assert json.loads(run("--json").stdout) == {"models": []}
    assert not store.root.exists()


def test_models_are_listed_as_ollama_does(store, put):
    model = put("me/pirate:q8", system="Arr.")
    os.utime(store.root / "manifests" / model.name.path, (1, 1))
    newest = put("demo")
    lines = [line.split("    ") for line in run().stdout.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert cells[0] == ["NAME", "ID", "SIZE", "MODIFIED"]
    assert cells[1][:2] == ["demo:latest", newest.id]
    assert cells[1][3].endswith("ago")
    assert cells[2][:2] == ["me/pirate:q8", model.id]
    assert cells[2][3].endswith("years ago")
    assert [line[2].endswith("KB") for line in cells[1:]] == [True, True]


def test_json_has_the_keys_of_ollamas_api(put):
    model = put("demo")
    (listed,) = json.loads(run("--json").stdout)["models"]
    assert listed == {
        "name": "demo:latest",
        "modified_at": model.modified.isoformat(),
        "size": model.size,
        "digest": model.digest,
        "bundled": False,
        "details": {
            "format": "gguf",
            "family": "llama",
            "families": ["llama"],
            "parameter_size": "2K",
            "quantization_level": "Q8_0",
        },
    }


def test_bundled_models_follow_and_are_marked(put, bundle, store):
    put("demo")
    listed = run().stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["NAME", "demo:latest", "story"]
    assert listed[2].split() == ["story", "-", *format_size(bundle.stat().st_size).split(), "bundled"]
    documents = json.loads(run("--json").stdout)["models"]
    assert documents[1] == {
        "name": "story",
        "size": bundle.stat().st_size,
        "bundled": True,
        "description": "Tells stories",
    }


def test_a_model_in_the_store_hides_the_bundled_one_of_its_name(put, bundle):
    put("Story")
    assert [line.split()[0] for line in run().stdout.splitlines()] == ["NAME", "Story:latest"]


def test_a_prefix_chooses(put):
    for name in ("llama3", "Llama2", "qwen"):
        put(name)
    assert {line.split()[0] for line in run("LLA").stdout.splitlines()[1:]} == {"llama3:latest", "Llama2:latest"}


def test_damage_is_reported_on_stderr_and_hides_nothing_else(store, put):
    put("good")
    put("bad")
    config = put("odd", system="x").stored.manifest.config
    (store.root / "manifests/local/library/bad/latest").write_bytes(b"{")
    store.blob_path(config.digest).write_bytes(b"{")
    done = run()
    assert {line.split()[0] for line in done.stdout.splitlines()[1:]} == {"good:latest", "odd:latest"}
    warnings = done.stderr.splitlines()
    assert all(line.startswith("Warning: ") for line in warnings)
    assert sum("manifest is damaged: it is no JSON" in line for line in warnings) == 1
    assert any("the blob has 1 bytes instead of" in line for line in warnings)


def test_a_plugin_without_its_file_is_a_warning(store, monkeypatch, tmp_path):
    gone = BundledModel("gone", tmp_path / "gone.gguf", "x")
    monkeypatch.setattr("ollamax.cli.list.get_registry", lambda: Registry(models={"gone": gone}))
    done = run()
    assert done.stdout.splitlines()[1].split() == ["gone", "-", "-", "bundled"]
    assert done.stderr.startswith("Warning: bundled model 'gone': ")
