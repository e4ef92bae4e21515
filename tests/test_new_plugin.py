"""Packages that ``ollamax new-plugin`` writes pass their tests as they are."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ollamax.cli.main import main


def as_if_installed(package: Path, folder: Path) -> None:
    """What pip writes of a package, and a path to its modules."""
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    lines = [f"Name: {project['name']}", f"Version: {project['version']}", f"Summary: {project['description']}"]
    lines += [f"License-Expression: {project['license']}", f"Requires-Python: {project['requires-python']}"]
    lines += [f"Requires-Dist: {text}" for text in project["dependencies"]]
    readme = (package / project["readme"]).read_text(encoding="utf-8")
    text = "\n".join(["Metadata-Version: 2.4", *lines, "", readme])
    (info / "METADATA").write_text(text, encoding="utf-8")
    points = [f"{name} = {target}" for name, target in project["entry-points"]["ollamax"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[ollamax]", *points]), encoding="utf-8")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--kind", "architecture"],
        ["--kind", "architecture", "--like", "llama"],
        ["--kind", "architecture", "--like", "qwen2"],
        ["--kind", "backend"],
        ["--kind", "tokenizer"],
    ],
    ids=lambda arguments: " ".join(arguments[1::2]),
)
def test_a_new_package_passes_its_tests(arguments: list[str], tmp_path: Path) -> None:
    package = tmp_path / "package"
    assert main(["new-plugin", "quite_new", *arguments, "--directory", str(package)]) == 0
    as_if_installed(package, tmp_path / "site")
    paths = [str(tmp_path / "site"), str(package / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    # Warnings are errors, and a skipped test is not a passed one.
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-W", "error", "-p", "no:cacheprovider", str(package)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout[-3000:]
    last = done.stdout.splitlines()[-1]
    assert " passed" in last
    assert "skipped" not in last
