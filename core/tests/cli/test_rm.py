import pytest
from click.testing import CliRunner

from ollamax.cli.rm import rm
from ollamax.errors import ModelNotFoundError, NameInvalidError, StoreError


def run(*arguments):
    done = CliRunner().invoke(rm, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def names(store):
    return sorted(str(model.name) for model in store.list())


def test_models_are_removed(put, store):
    for name in ("one", "two:x", "three"):
        put(name)
    assert run("one", "TWO:X") == "deleted 'one:latest'\ndeleted 'two:x'\n"
    assert names(store) == ["three:latest"]


@pytest.mark.parametrize(
    ("name", "error", "problem"),
    [
        ("absent", ModelNotFoundError, "model 'absent' not found"),
        ("../one", NameInvalidError, "namespace '..' is not valid"),
        ("story", StoreError, "model 'story' is bundled and .*: pip uninstall tales$"),
        ("story:latest", StoreError, "pip uninstall tales$"),
    ],
)
def test_one_name_that_cannot_be_removed_keeps_all(put, bundle, store, name, error, problem):
    put("one")
    put("two")
    with pytest.raises(error, match=problem):
        run("one", name, "two")
    assert names(store) == ["one:latest", "two:latest"]


def test_a_model_in_the_store_may_have_a_bundled_ones_name(put, bundle, store):
    put("story")
    assert run("story") == "deleted 'story:latest'\n"
    assert names(store) == []


def test_a_damaged_model_can_be_removed(put, store):
    put("bad")
    (store.root / "manifests/local/library/bad/latest").write_bytes(b"{")
    assert run("bad") == "deleted 'bad:latest'\n"
    assert store.damage() == []


def test_a_name_is_needed(store):
    assert CliRunner().invoke(rm, []).exit_code == 2
