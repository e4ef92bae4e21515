import pytest
from click.testing import CliRunner

from ollamax.cli.cp import cp
from ollamax.errors import ModelNotFoundError, NameInvalidError, StoreError, UsageError


def run(*arguments):
    done = CliRunner().invoke(cp, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_a_copy_is_the_same_model_under_another_name(put, store):
    put("demo", system="hi")
    assert run("demo", "me/copy:x") == "copied 'demo' to 'me/copy:x'\n"
    assert store.get("me/copy:x").system == "hi"
    assert store.get("me/copy:x").digest == store.get("demo").digest


@pytest.mark.parametrize(
    ("source", "destination", "error", "problem"),
    [
        ("absent", "x", ModelNotFoundError, "model 'absent' not found"),
        ("demo", "../x", NameInvalidError, "namespace '..' is not valid"),
        ("demo", "demo", UsageError, "cannot be copied onto itself"),
        ("story", "x", StoreError, "bundled with tales and not in the store; .* says FROM story"),
    ],
)
def test_errors(put, bundle, store, source, destination, error, problem):
    put("demo")
    with pytest.raises(error, match=problem):
        run(source, destination)
    assert [str(model.name) for model in store.list()] == ["demo:latest"]


def test_both_names_are_needed(store):
    assert CliRunner().invoke(cp, ["one"]).exit_code == 2
