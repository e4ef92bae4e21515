import datetime
import hashlib
import json
import os
import subprocess
import sys

import pytest

from ollamax.errors import ModelNotFoundError, NameInvalidError, StoreError, UsageError
from ollamax.store import Layer, MediaType, ModelName, Store
from ollamax.store.image import image_config, short_count
from ollamax.types import Message


def test_the_layout_on_disk_is_ollamas(store, put, snapshot):
    put("demo", b"weights", params={"stop": ["a"]})
    config = json.dumps({"model_family": "llama"}).encode()
    blobs = {
        MediaType.MODEL: b"weights",
        MediaType.PARAMS: b'{"stop": ["a"]}',
    }
    files = snapshot()
    manifest = json.loads(files.pop("manifests/local/library/demo/latest"))
    assert manifest == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "digest": "sha256:" + hashlib.sha256(config).hexdigest(),
            "size": len(config),
        },
        "layers": [
            {
                "mediaType": f"application/vnd.ollama.image.{kind}",
                "digest": "sha256:" + hashlib.sha256(data).hexdigest(),
                "size": len(data),
            }
            for kind, data in (("model", b"weights"), ("params", b'{"stop": ["a"]}'))
        ],
    }
    assert files == {f"blobs/sha256-{hashlib.sha256(data).hexdigest()}": data for data in (*blobs.values(), config)}


def test_a_model_gives_back_what_was_put_in(put, store):
    model = put(
        "me/demo:1b",
        b"GGUF!",
        params={"temperature": 0.5, "stop": ["<|x|>", "\n"], "seed": 7},
        template="{{ .Prompt }}é",
        system="Be brief.",
        licenses=["MIT", "Apache"],
        messages=[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}],
    )
    assert model.name == ModelName("local", "me", "demo", "1b")
    assert model.model_path.read_bytes() == b"GGUF!"
    assert model.model_path == store.blob_path(model.layers[0].digest)
    assert model.params == {"temperature": 0.5, "stop": ["<|x|>", "\n"], "seed": 7}
    assert (model.template, model.system) == ("{{ .Prompt }}é", "Be brief.")
    assert model.licenses == ["MIT", "Apache"]
    assert model.messages == [Message("user", "hi"), Message("assistant", "yo")]
    assert model.config == {"model_family": "llama"}
    assert model.size == sum(layer.size for layer in model.stored.manifest.blobs)
    manifest = store.root / "manifests/local/me/demo/1b"
    assert model.digest == hashlib.sha256(manifest.read_bytes()).hexdigest()
    assert model.id == model.digest[:12]
    assert model.modified == datetime.datetime.fromtimestamp(manifest.stat().st_mtime, datetime.UTC)


def test_what_a_model_lacks_is_absent(put):
    model = put("demo")
    assert (model.template, model.system, model.params, model.licenses, model.messages) == (None, None, {}, [], [])


def test_a_store_that_is_not_there_is_empty(store, tmp_path):
    assert store.list() == []
    assert store.damage() == []
    with pytest.raises(ModelNotFoundError):
        store.get("demo")
    assert not (tmp_path / "models").exists()


def test_the_environment_says_where_the_store_is(monkeypatch, tmp_path):
    monkeypatch.setenv("OLLAMAX_MODELS", str(tmp_path / "elsewhere"))
    assert Store().root == tmp_path / "elsewhere"


def test_the_list_begins_with_the_model_changed_last(store, put):
    for index, name in enumerate(["b", "a", "me/c:x"]):
        put(name)
        os.utime(store.root / "manifests" / ModelName.parse(name).path, (index, index))
    assert [str(model.name) for model in store.list()] == ["me/c:x", "a:latest", "b:latest"]


def test_names_are_compared_without_case_and_keep_their_spelling(store, put):
    put("Me/Demo:Q8", b"one")
    assert str(store.get("me/demo:q8").name) == "Me/Demo:Q8"
    put("ME/DEMO:q8", b"two")
    assert [str(model.name) for model in store.list()] == ["Me/Demo:Q8"]
    assert store.get("Me/Demo:Q8").model_path.read_bytes() == b"two"
    put("me/Demo:other")
    assert str(store.get("me/demo:OTHER").name) == "Me/Demo:other"
    store.remove("mE/dEmO:q8")
    assert [str(model.name) for model in store.list()] == ["Me/Demo:other"]


def test_an_unknown_name_is_answered_with_those_like_it(store, put):
    put("llama3")
    put("llama3:8b")
    with pytest.raises(ModelNotFoundError) as caught:
        store.get("lama3")
    assert str(caught.value) == (
        "model 'lama3' not found; did you mean llama3 or llama3:8b? To make it: ollamax create lama3 -f Modelfile"
    )
    with pytest.raises(ModelNotFoundError, match="not found; see ollamax list, or make it: ollamax create zzz"):
        store.get("zzz")
    assert store.find("zzz") is None
    assert "zzz" not in store
    assert "LLAMA3" in store


def test_a_model_that_takes_a_name_releases_what_had_it(store, put, snapshot):
    put("demo", b"old", system="old system")
    put("demo", b"new")
    assert store.get("demo").model_path.read_bytes() == b"new"
    assert len(snapshot()) == 3  # manifest, weights, config
    assert len(store.list()) == 1


def test_copies_share_blobs_and_outlive_each_other(store, put, snapshot):
    model = put("demo", system="hi")
    before = snapshot()
    store.copy("demo", "mine/copy:x")
    assert {key for key in snapshot() if key not in before} == {"manifests/local/mine/copy/x"}
    copy = store.get("mine/copy:x")
    assert (copy.digest, copy.system) == (model.digest, "hi")
    store.remove("demo")
    assert store.get("mine/copy:x").system == "hi"
    assert store.get("mine/copy:x").model_path.read_bytes() == b"GGUF weights"
    store.remove("mine/copy:x")
    assert snapshot() == {}
    assert list((store.root / "manifests").iterdir()) == []


def test_a_copy_needs_a_source_another_name_and_all_blobs(store, put):
    model = put("demo")
    with pytest.raises(ModelNotFoundError):
        store.copy("demi", "other")
    with pytest.raises(UsageError, match="cannot be copied onto itself"):
        store.copy("demo", "DEMO:latest")
    with pytest.raises(NameInvalidError):
        store.copy("demo", "../x")
    model.model_path.unlink()
    with pytest.raises(StoreError, match="the blob is missing; create the model anew"):
        store.copy("demo", "other")
    assert [str(found.name) for found in store.list()] == ["demo:latest"]


def test_all_names_are_checked_before_any_is_removed(store, put, snapshot):
    put("one")
    put("two", b"other weights")
    before = snapshot()
    with pytest.raises(ModelNotFoundError, match="model 'tow' not found; did you mean two"):
        store.remove("one", "tow")
    assert snapshot() == before
    assert [str(name) for name in store.remove("one", "TWO", "one")] == ["one:latest", "two:latest"]
    assert snapshot() == {}


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "it is no JSON"),
        (b"{", "it is no JSON"),
        (b"[" * 100_000, "it is no JSON"),
        (b'{"schemaVersion": ' + b"9" * 5000 + b"}", "it is no JSON"),
        (b"\xff\xfe", "it is no JSON"),
        (b"[]", "it has no schemaVersion 2"),
        (b'{"schemaVersion": 1}', "it has no schemaVersion 2"),
        (b'{"schemaVersion": 2, "layers": {}}', "it has no list of layers"),
        (b'{"schemaVersion": 2, "layers": []}', "config is no object"),
        (b'{"schemaVersion": 2, "layers": [], "config": {}}', "config has no mediaType"),
        (b'{"schemaVersion": 2, "layers": [], "config": {"mediaType": "x"}}', "config has no sha256 digest"),
        (
            b'{"schemaVersion": 2, "layers": [], "config": {"mediaType": "x", "digest": "sha256:../../etc/passwd"}}',
            "config has no sha256 digest",
        ),
        (
            b'{"schemaVersion": 2, "layers": [], "config": {"mediaType": "x", "digest": "sha256:'
            + b"a" * 64
            + b'", "size": -1}}',
            "config has no size",
        ),
        (b" " * (4 * 2**20 + 1), "it has more than 4194304 bytes"),
    ],
)
def test_a_damaged_manifest_is_named_and_does_not_hide_the_others(store, put, data, problem):
    put("good")
    put("bad")
    path = store.root / "manifests/local/library/bad/latest"
    path.write_bytes(data)
    assert [str(model.name) for model in store.list()] == ["good:latest"]
    (damage,) = store.damage()
    assert str(damage) == (f"{path}: the manifest is damaged: {problem}; create the model anew, or remove it")
    with pytest.raises(StoreError, match=problem):
        store.get("bad")


def test_nothing_is_swept_while_a_manifest_is_damaged_and_it_can_be_removed(store, put, snapshot):
    put("bad", b"its weights")
    put("other", b"other weights")
    path = store.root / "manifests/local/library/bad/latest"
    intact = path.read_bytes()
    path.write_bytes(b"{")
    store.remove("other")
    path.write_bytes(intact)
    assert store.get("bad").model_path.read_bytes() == b"its weights"
    path.write_bytes(b"{")
    store.remove("bad")
    assert snapshot() == {}


def test_files_that_are_no_manifests_are_passed_over(store, put):
    put("demo")
    manifests = store.root / "manifests"
    (manifests / ".DS_Store").write_bytes(b"x")
    (manifests / "local/library/demo/.partial-12").write_bytes(b"x")
    (manifests / "local/library/demo/bad name").write_bytes(b"x")
    (manifests / "local/library/directory/latest").mkdir(parents=True)
    assert [str(model.name) for model in store.list()] == ["demo:latest"]
    assert store.damage() == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda path: path.unlink(), "the blob is missing"),
        (lambda path: path.write_bytes(b"cut"), "the blob has 3 bytes instead of 9"),
        (lambda path: path.write_bytes(b"Be long!!"), "does not hold what its name says"),
    ],
)
def test_a_damaged_blob_is_an_error_that_names_it(put, store, change, problem):
    model = put("demo", system="Be brief.")
    path = store.blob_path(model.layers[1].digest)
    path.chmod(0o644)
    change(path)
    with pytest.raises(StoreError, match=problem) as caught:
        _ = model.system
    assert str(path) in str(caught.value)


def test_weights_are_checked_for_their_size(put):
    model = put("demo")
    model.model_path.write_bytes(b"cut")
    with pytest.raises(StoreError, match="has 3 bytes instead of 12"):
        _ = model.model_path


@pytest.mark.parametrize(
    ("media_type", "data", "attribute", "expected"),
    [
        (MediaType.SYSTEM, b"\xff", "system", "UTF-8 text was expected"),
        (MediaType.PARAMS, b"{", "params", "JSON was expected"),
        (MediaType.PARAMS, b"[" * 100_000, "params", "JSON was expected"),
        (MediaType.PARAMS, b"[]", "params", "an object of numbers"),
        (MediaType.PARAMS, b'{"stop": [1]}', "params", "an object of numbers"),
        (MediaType.MESSAGES, b'[{"role": "user"}]', "messages", "a list of objects with role and content"),
        (MediaType.MESSAGES, b"{}", "messages", "a list of objects with role and content"),
        (MediaType.CONFIG, b"[]", "config", "an object was expected"),
        ("application/vnd.ollama.image.adapter", b"x", "model_path", "layers of type"),
        (MediaType.MODEL, b"second", "model_path", "has 2 model files where one was expected"),
    ],
)
def test_blobs_with_odd_contents_are_errors(store, media_type, data, attribute, expected):
    with store.transaction() as transaction:
        layers = [transaction.add_bytes(MediaType.MODEL, b"weights")]
        config = transaction.add_bytes(MediaType.CONFIG, b"{}")
        odd = transaction.add_bytes(media_type, data)
        if media_type is MediaType.CONFIG:
            config = odd
        else:
            layers.append(odd)
        transaction.commit("odd", config, layers)
    with pytest.raises(StoreError, match=expected) as caught:
        getattr(store.get("odd"), attribute)
    assert "odd:latest" in str(caught.value)


def test_a_text_of_gigabytes_is_not_read(store):
    with store.transaction() as transaction:
        weights = transaction.add_bytes(MediaType.MODEL, b"w")
        config = transaction.add_bytes(MediaType.CONFIG, b"{}")
        big = transaction.add(MediaType.SYSTEM, lambda sink: [sink.write(bytes(2**20)) for _ in range(17)])
        transaction.commit("big", config, [weights, big])
    with pytest.raises(StoreError, match="17825792 bytes of text; 16777216 are allowed"):
        _ = store.get("big").system


@pytest.mark.parametrize(
    "digest", ["", "sha256:", "sha256:" + "A" * 64, "sha256:../../etc/passwd", "md5:" + "a" * 64, "sha256:" + "a" * 65]
)
def test_a_digest_is_checked_before_it_becomes_a_path(store, digest):
    with pytest.raises(NameInvalidError, match="is not valid; expected sha256: and 64 lower-case hex digits"):
        store.blob_path(digest)


def test_the_config_blob_has_ollamas_keys():
    layer = Layer(MediaType.MODEL, "sha256:" + "a" * 64, 5)
    assert json.loads(image_config("llama", 3_200_000, "Q8_0", [layer])) == {
        "model_format": "gguf",
        "model_family": "llama",
        "model_families": ["llama"],
        "model_type": "3.20M",
        "file_type": "Q8_0",
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
    }


@pytest.mark.parametrize(
    ("count", "shown"),
    [(12, "12"), (1000, "1K"), (70_400, "70K"), (7_000_000, "7M"), (3_254_321, "3.25M"), (1_235_814_400, "1.2B")],
)
def test_numbers_of_parameters(count, shown):
    assert short_count(count) == shown


def test_a_disk_that_refuses_is_reported_in_one_line(store, put):
    put("demo")
    (store.root / "lock").unlink()
    (store.root / "lock").mkdir()
    with pytest.raises(StoreError, match=r"lock: the model store cannot be used: Is a directory; mend that"):
        store.remove("demo")


def test_a_file_where_the_store_should_be_is_an_error(tmp_path):
    (tmp_path / "models").write_bytes(b"")
    with pytest.raises(StoreError, match="the model store cannot be used"):
        Store(tmp_path / "models").remove("demo")


def test_importing_the_store_is_cheap():
    code = "import sys, ollamax.store; print(sorted({'numpy', 'jinja2', 'gguf', 'click'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
