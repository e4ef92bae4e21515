"""``ollamax new-plugin``: where it writes, and what it refuses."""

import ast
import tomllib

import pytest

from ollamax.cli.main import main
from ollamax.scaffold.package import default_directory
from ollamax.scaffold.plugin_name import PluginKind, PluginName


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tree(root):
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_a_package_has_our_shape_and_is_told(here, capsys):
    assert main(["new-plugin", "my_model", "--kind", "architecture"]) == 0
    folder = here / "ollamax-plugin-my-model"
    files = tree(folder)
    assert files == {
        "CHANGELOG.md",
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "tests/checkpoint.json",
        "tests/test_conformance.py",
        *(f"src/ollamax_my_model/{name}.py" for name in ("__init__", "convert", "model", "plugin")),
        "src/ollamax_my_model/py.typed",
    }
    said = capsys.readouterr().out.splitlines()
    assert said[:-1] == [f"wrote {folder / path}" for path in sorted(files)]
    assert said[-1].startswith(f"next: pip install -e {folder} ")
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["ollamax"] == {"my_model": "ollamax_my_model.plugin"}


@pytest.mark.parametrize("kind", ["architecture", "backend", "tokenizer"])
def test_nothing_of_the_example_is_left(here, kind):
    assert main(["new-plugin", "other", "--kind", kind]) == 0
    (folder,) = here.iterdir()
    for path in folder.rglob("*"):
        assert not {"poem", "abacus", "verse"} & set(path.name.lower().replace(".", "_").split("_"))
        if path.is_file() and path.name != "LICENSE":
            text = path.read_text().lower()
            assert not [word for word in ("poem", "abacus", "verse") if word in text.replace("reverse", "")], path
        if path.suffix == ".py":
            ast.parse(path.read_text())


def test_a_copy_has_the_modules_and_requirements_of_the_original(here):
    assert main(["new-plugin", "mine", "--kind", "architecture", "--like", "qwen2"]) == 0
    folder = here / "ollamax-plugin-mine"
    assert "src/ollamax_mine/rope.py" in tree(folder)
    text = (folder / "src/ollamax_mine/model.py").read_text()
    assert "class Mine(Architecture):" in text
    assert not [line for line in text.splitlines() if "qwen2" in line.lower() and not line.startswith('"""')]
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert any(line.startswith("numpy") for line in project["dependencies"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["llama", "--kind", "architecture"], "there is a package ollamax_llama already; choose another name"),
        (["cpu", "--kind", "backend"], "there is a package ollamax_backend_cpu already"),
        (["My-Model", "--kind", "architecture"], "'My-Model' cannot be the name of a plugin; expected small letters"),
        (["mine", "--kind", "poem"], "'poem' is not one of"),
        (["mine"], "Missing option '--kind'"),
        (
            ["mine", "--kind", "backend", "--like", "llama"],
            "--like is for architectures; leave it out with",
        ),
        (["mine", "--kind", "architecture", "--like", "gpt9"], "--like 'gpt9': expected an architecture of plain dec"),
        (["mine", "--kind", "architecture", "--directory", "full"], "full exists and is not an empty directory"),
        (["mine", "--kind", "architecture", "--directory", "no/such"], "no/such: the folder above it does not exist"),
        (["mine", "--kind", "architecture", "--directory", "file"], "file exists and is not an empty directory"),
    ],
)
def test_what_cannot_be_made_is_told_in_one_line_and_leaves_nothing(here, capsys, arguments, message):
    (here / "full").mkdir()
    (here / "full" / "mine.txt").touch()
    (here / "file").touch()
    before = tree(here)
    assert main(["new-plugin", *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert tree(here) == before
    assert {path.name for path in here.iterdir()} == {"full", "file"}


def test_in_a_checkout_it_lands_among_the_plugins(tmp_path):
    name = PluginName("my_sums", PluginKind.BACKEND)
    assert default_directory(name, tmp_path) == tmp_path / "ollamax-backend-my-sums"
    for folder in ("core/src/ollamax", "plugins", "docs/deep"):
        (tmp_path / folder).mkdir(parents=True)
    for here in (tmp_path, tmp_path / "docs" / "deep"):
        assert default_directory(name, here) == tmp_path / "plugins" / "backend-my-sums"
