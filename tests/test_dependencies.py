"""Each package declares exactly the libraries that it imports, with a range, and the metapackage the usual set."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PACKAGES = [ROOT / "core", *sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))]
# Imported nowhere, wanted all the same: the demo model is a llama.
DATA = {"ollamax-plugin-demo": {"ollamax-plugin-llama"}}
# Not in the usual set: its library is compiled when it is installed.
COMPILED = {"ollamax-backend-ggml"}
# In the usual set on Apple silicon alone, and tested everywhere.
APPLE = {"ollamax-backend-metal"}


def project(folder: Path) -> dict[str, Any]:
    return dict(tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"])


# An editable installation does not tell which modules it brings.
OURS = {package.name: [project(folder)["name"]] for folder in PACKAGES for package in (folder / "src").iterdir()}


def requirements(folder: Path) -> dict[str, Requirement]:
    found = [Requirement(text) for text in project(folder)["dependencies"]]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def extras(folder: Path) -> dict[str, Requirement]:
    """What a package can do more with, and does without."""
    listed = project(folder).get("optional-dependencies", {}).values()
    found = [Requirement(text) for texts in listed for text in texts]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def imported_modules(folder: Path) -> set[str]:
    """Top-level modules that those below ``src`` import, wherever in a module."""
    names = set()
    for path in (folder / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
    return names


def imported(folder: Path) -> set[str]:
    """The distributions of these modules, as far as they are installed."""
    names = imported_modules(folder)
    own = {path.name for path in (folder / "src").iterdir()}
    homes = {**packages_distributions(), **OURS}
    outside = names - own - sys.stdlib_module_names
    declared = requirements(folder)
    found = set()
    for name in outside & homes.keys():
        brought = [canonicalize_name(home) for home in homes[name]]  # a module may lie in several, as mlx does
        found.add(next((home for home in brought if home in declared), brought[0]))
    return found


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda folder: folder.name)
def test_declared_is_imported(folder: Path) -> None:
    wanted = imported(folder) | DATA.get(project(folder)["name"], set())
    assert set(requirements(folder)) == wanted - extras(folder).keys()
    assert extras(folder).keys() <= imported_modules(folder)


@pytest.mark.parametrize("folder", [ROOT, *PACKAGES], ids=lambda folder: folder.name)
def test_every_range_has_both_ends(folder: Path) -> None:
    optional = extras(folder) if folder in PACKAGES else {}
    for requirement in (requirements(folder) | optional).values():
        operators = {specifier.operator for specifier in requirement.specifier}
        assert operators >= {">=", "<"} or requirement.name == "packaging", str(requirement)


def test_lowest_versions_are_those_of_the_ranges() -> None:
    declared = {
        requirement.name: specifier.version
        for folder in PACKAGES
        for requirement in requirements(folder).values()
        for specifier in requirement.specifier
        if specifier.operator == ">=" and not requirement.name.startswith("ollamax")
    }
    lines = (ROOT / "constraints-lowest.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert {name: Version(version) for name, version in pinned.items()} == {
        name: Version(version) for name, version in declared.items()
    }


def named(file: str) -> set[Path]:
    """The folders that a requirements file installs."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return {(ROOT / line.removeprefix("-e ")).resolve() for line in lines if line.startswith("-e ")}


def folders(names: set[str]) -> set[Path]:
    return {folder.resolve() for folder in PACKAGES if project(folder)["name"] in names}


def test_the_usual_set_is_what_a_checkout_installs() -> None:
    # A package that is new in plugins/ may be in neither.
    usual = set(requirements(ROOT))
    assert named("requirements.txt") == {ROOT.resolve(), *folders(usual - APPLE)}
    assert len(folders(usual)) == len(usual)
    assert not usual & COMPILED


def test_the_others_are_installed_for_tests() -> None:
    assert named("requirements-compiled.txt") == folders(COMPILED)
    assert named("requirements-test.txt") == folders(APPLE)


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda folder: folder.name)
def test_packages_have_one_shape(folder: Path) -> None:
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "tests"):
        assert (folder / name).exists(), f"{folder.name} lacks {name}"
    # Wheels take the licence from their own folder only, and MIT asks that every copy carries it.
    assert (folder / "LICENSE").read_text(encoding="utf-8") == (ROOT / "LICENSE").read_text(encoding="utf-8")
    (package,) = (folder / "src").iterdir()
    assert (package / "py.typed").exists()
    assert project(folder)["requires-python"] == ">=3.11"
