import json
import os

import pytest

from ollamax.engine.resolve import Kind, resolve
from ollamax.errors import ModelfileError, ModelNotFoundError, NameInvalidError, PluginError
from ollamax.plugins import BundledModel, Registry
from ollamax.store import MediaType, Store
from ollamax.types import Message


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current directory."""
    directory = tmp_path / "here"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "models")
    layers = []
    texts = {
        MediaType.MODEL: "GGUF",
        MediaType.SYSTEM: "Be brief.",
        MediaType.PARAMS: json.dumps({"temperature": 0.5, "stop": ["a", "b"], "seed": 3}),
        MediaType.MESSAGES: json.dumps([{"role": "user", "content": "hi"}]),
    }
    with store.transaction() as transaction:
        layers = [transaction.add_bytes(kind, text.encode()) for kind, text in texts.items()]
        transaction.commit("demo", transaction.add_bytes(MediaType.CONFIG, b"{}"), layers)
    return store


@pytest.fixture
def registry(tmp_path):
    path = tmp_path / "tale.gguf"
    path.write_bytes(b"GGUF")
    tale = BundledModel("tale", path, "A tale", "PARAMETER seed 7\nTEMPLATE {{ .Prompt }}")
    return Registry(models={"tale": tale, "demo": BundledModel("demo", path, "Hidden by the store's")})


def test_a_name_in_the_store(here, store, registry):
    found = resolve("DEMO:latest", store=store, registry=registry)
    assert (found.kind, found.name) == (Kind.STORE, "demo:latest")
    assert found.path == store.get("demo").model_path
    assert found.modelfile.from_ == str(found.path)
    assert found.modelfile.parameters == {"temperature": ["0.5"], "stop": ["a", "b"], "seed": ["3"]}
    assert (found.modelfile.system, found.modelfile.template) == ("Be brief.", None)
    assert found.modelfile.messages == [Message("user", "hi")]


@pytest.mark.parametrize("name", ["tale", "tale:latest"])
def test_a_bundled_model(here, store, registry, name):
    found = resolve(name, store=store, registry=registry)
    assert (found.kind, found.name, found.path.name) == (Kind.BUNDLED, "tale", "tale.gguf")
    assert found.modelfile.parameters == {"seed": ["7"]}
    assert found.modelfile.template == "{{ .Prompt }}"
    assert found.modelfile.from_ == str(found.path)


@pytest.mark.parametrize(
    "name", ["a.gguf", "./a.gguf", "sub/plain", "./plain", "checkpoint", "sub/checkpoint", ".", ".."]
)
def test_paths_come_first(here, store, registry, name):
    for path in ("a.gguf", "plain", "sub/plain", "checkpoint/config.json", "sub/checkpoint/config.json"):
        (here / path).parent.mkdir(parents=True, exist_ok=True)
        (here / path).write_bytes(b"")
    found = resolve(name, store=store, registry=registry)
    assert found.kind == (Kind.HUGGINGFACE if name.strip(".") in ("", "checkpoint", "sub/checkpoint") else Kind.GGUF)
    assert found.path.resolve() == (here / name).resolve()
    assert found.modelfile.from_ == str(found.path)
    assert found.modelfile.parameters == {}


def test_a_path_in_the_home_directory(here, store, registry, monkeypatch):
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.setenv("USERPROFILE", str(here))
    (here / "a.gguf").write_bytes(b"")
    assert resolve("~/a.gguf", store=store, registry=registry).path == here / "a.gguf"


def test_files_that_merely_have_a_models_name_do_not_hide_it(here, store, registry):
    (here / "demo").write_bytes(b"")
    (here / "tale").mkdir()
    assert resolve("demo", store=store, registry=registry).kind is Kind.STORE
    assert resolve("tale", store=store, registry=registry).kind is Kind.BUNDLED


@pytest.mark.parametrize("name", ["absent.gguf", "./demo", "/absent", "~/absent", "C:\\models\\demo"])
def test_a_path_that_is_not_there(here, store, registry, name):
    with pytest.raises(ModelNotFoundError, match="no such file or directory"):
        resolve(name, store=store, registry=registry)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["./fifo.gguf", "fifo.gguf", "/dev/null"])
def test_a_pipe_or_a_device_is_there_but_no_regular_file(here, store, registry, name):
    os.mkfifo(here / "fifo.gguf")
    with pytest.raises(ModelNotFoundError, match=rf"^{name}: not a regular file; give a \.gguf file or a Hugging"):
        resolve(name, store=store, registry=registry)


def test_an_unknown_name_lists_those_like_it(here, store, registry):
    with pytest.raises(ModelNotFoundError, match="model 'tail' not found; did you mean tale"):
        resolve("tail", store=store, registry=registry)


@pytest.mark.parametrize("name", ["", "a b", "x" * 5000, "nul\0", "a/b/c/d", "@sha256:abc"])
def test_what_is_neither_path_nor_name(here, store, registry, name):
    with pytest.raises(NameInvalidError):
        resolve(name, store=store, registry=registry)


def test_a_plugin_that_lost_its_file_or_wrote_a_bad_modelfile(here, store, tmp_path):
    gone = BundledModel("gone", tmp_path / "gone.gguf", "x")
    with pytest.raises(PluginError, match="is missing; reinstall"):
        resolve("gone", store=store, registry=Registry(models={"gone": gone}))
    (tmp_path / "gone.gguf").write_bytes(b"")
    bad = BundledModel("bad", tmp_path / "gone.gguf", "x", "\nTEMPERATURE 1")
    with pytest.raises(ModelfileError, match="bundled model bad, line 2: unknown instruction"):
        resolve("bad", store=store, registry=Registry(models={"bad": bad}))
