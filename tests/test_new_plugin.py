"""Packages that ``ollamax new-plugin`` writes pass their tests as they are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from as_if_installed import as_if_installed

from ollamax.cli.main import main


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
    # Warnings are errors, and a skipped test is not a passed one: a new architecture has no golden trace yet.
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-W", "error", "-p", "no:cacheprovider", str(package)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout[-3000:]
    last = done.stdout.splitlines()[-1]
    assert " passed" in last
    assert ("1 skipped" in last) == (arguments[1] == "architecture")
    assert "skipped" not in last.replace("1 skipped", "")
