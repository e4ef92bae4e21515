"""Every test runs in one environment of tox, which has what it needs: nothing is skipped for want of a library."""

import ast
import configparser
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOX = configparser.ConfigParser(interpolation=None)
TOX.read(ROOT / "tox.ini", encoding="utf-8")
PYTEST = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
MARKERS = [line.split(":")[0] for line in PYTEST["markers"]]
RUN_BY_CI = [name.strip() for name in TOX["tox"]["env_list"].split(",")]
# Parts of Python that some systems lack.
PLATFORM = {"pty", "readline"}
HEAVY = {"torch": "reference", "transformers": "reference", "llama_cpp": "llama_cpp"}


def selections() -> dict[str, str]:
    """The marker expression of each environment that CI runs and that runs tests."""
    found = {}
    for name in RUN_BY_CI:
        commands = TOX[f"testenv:{name}"].get("commands", "")
        if commands.startswith("pytest"):
            expression = re.search(r'-m "([^"]+)"', commands)
            assert expression, name
            assert "{posargs}" in commands, name
            found[name] = expression[1]
    return found


def selected_by(markers: set[str]) -> list[str]:
    """The environments that run a test with these markers."""
    known = {marker: marker in markers for marker in MARKERS}
    # pytest's grammar of expressions (and, or, not, parentheses) is Python's.
    return [name for name, expression in selections().items() if eval(expression, {}, known)]


def parsed() -> Iterator[tuple[str, ast.Module]]:
    """Every file of the tests, by its path."""
    for folder in ("core/tests", "plugins/*/tests", "tests"):
        for path in sorted(ROOT.glob(f"{folder}/**/*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("markers", [set(), *({marker} for marker in MARKERS)], ids=str)
def test_each_marker_is_of_one_environment(markers: set[str]) -> None:
    assert len(selected_by(markers)) == 1


def test_ci_leaves_no_environment_out() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = readme.split("<!-- test command -->")[1].split("```")[1]
    assert command.rstrip().endswith("/tox")


def test_the_guide_for_contributors_names_every_environment() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert [name for name in RUN_BY_CI if f"| `tox -e {name}` |" not in text] == []


def test_plain_tests_need_neither_torch_nor_a_compiler() -> None:
    assert selected_by(set()) == ["py"]
    lines = (ROOT / "requirements-test.txt").read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if line.startswith(("torch", "transformers", "llama"))]


def test_no_missing_library_skips_a_test() -> None:
    skipping = [
        f"{path}:{node.lineno}: import {name} plainly, and mark the test {HEAVY.get(name, '')}"
        for path, tree in parsed()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("importorskip")
        for name in [ast.literal_eval(node.args[0]).partition(".")[0]]
        if name not in PLATFORM
    ]
    assert not skipping, "\n".join(skipping)


def imported(statement: ast.stmt) -> list[str]:
    """The packages that a statement imports."""
    names = [alias.name for alias in statement.names] if isinstance(statement, ast.Import) else []
    names += [statement.module or ""] if isinstance(statement, ast.ImportFrom) else []
    return [name.partition(".")[0] for name in names]


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    # Every environment collects every file, and then chooses by marker.
    heavy = [
        f"{path}:{statement.lineno}: imports {name}, which not every environment has"
        for path, tree in parsed()
        for statement in tree.body
        for name in imported(statement)
        if name in HEAVY
    ]
    assert not heavy, "\n".join(heavy)
