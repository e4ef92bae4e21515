"""Tiny wheels, written directly (a wheel is a zip with metadata), and a temporary environment for them."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Distribution:
    """A distribution with one package; ``files`` maps a file in that package to its text."""

    name: str
    files: Mapping[str, str]
    version: str = "1.0"
    requires: tuple[str, ...] = ("ollamax-core>=0.1",)
    entry_points: str = ""

    @property
    def package(self) -> str:
        return self.name.replace("-", "_")

    def wheel(self, folder: Path) -> Path:
        """Write the wheel into ``folder``."""
        info = f"{self.package}-{self.version}.dist-info"
        metadata = [f"Metadata-Version: 2.1\nName: {self.name}\nVersion: {self.version}\n"]
        metadata += [f"Requires-Dist: {item}\n" for item in self.requires]
        entries = self.entry_points or f"[ollamax]\n{self.name} = {self.package}.plugin\n"
        contents = {f"{self.package}/{name}": text for name, text in {"__init__.py": "", **self.files}.items()} | {
            f"{info}/METADATA": "".join(metadata),
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/entry_points.txt": entries,
        }
        contents[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*contents, f"{info}/RECORD"])
        path = folder / f"{self.package}-{self.version}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in contents.items():
                archive.writestr(name, text)
        return path


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int
    stdout: str
    stderr: str


class Environment:
    """A virtual environment that sees the packages of the one that runs the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder, with_pip=False, symlinks=os.name != "nt")
        scripts = "Scripts" if os.name == "nt" else "bin"
        self.python = folder / scripts / Path(sys.executable).name
        self.packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
        # addsitedir follows the .pth files of editable installs, which a plain path would not.
        outer = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        lines = [f"import site; site.addsitedir({path!r})\n" for path in sorted(outer)]
        (self.packages / "outer.pth").write_text("".join(lines), encoding="utf-8")

    def install(self, distributions: Iterable[Distribution], target: Path | None = None) -> Path:
        """Install with pip into the environment, or into the folder ``target`` for PYTHONPATH."""
        house = self.folder / "wheels"
        house.mkdir(exist_ok=True)
        wheels = [str(item.wheel(house)) for item in distributions]
        target = target or self.packages
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
        command += ["--disable-pip-version-check", "--no-cache-dir", "--target", str(target), *wheels]
        subprocess.run(command, check=True, capture_output=True, text=True)
        return target

    def python_run(self, code: str, *arguments: str, path: Path | str | None = None, **variables: str) -> Outcome:
        """Run ``code`` with the installed plugins, and those in the folder ``path``."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OLLAMAX", "PYTHON"))}
        environment = kept | variables | ({"PYTHONPATH": str(path)} if path else {})
        done = subprocess.run(
            [self.python, "-c", code, *arguments],
            check=False,
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=self.folder,
            env=environment,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def ollamax(self, *arguments: str, path: Path | str | None = None, **variables: str) -> Outcome:
        """Run the command as its console script does."""
        code = "import sys; from ollamax.cli.main import main; sys.exit(main())"
        return self.python_run(code, *arguments, path=path, **variables)


GOOD = """
from ollamax.plugins import hookimpl

@hookimpl
def ollamax_architectures():
    from good_plugin.model import Good

    return [Good]

@hookimpl
def ollamax_commands(cli):
    @cli.command("hello")
    def hello():
        "Say hello."
        print("hello from a plugin")
"""
GOOD_MODEL = """
from ollamax.arch.base import Architecture

class Good(Architecture):
    name = "good"
    aliases = ("fine",)

    def __init__(self, config): ...
    def cache(self, size): ...
    def forward(self, batch, cache): ...
    def shift(self, layer, key, delta): ...
"""


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A fresh environment with one good plugin."""
    made = Environment(tmp_path_factory.mktemp("environment"))
    made.install([Distribution("good-plugin", {"plugin.py": GOOD, "model.py": GOOD_MODEL})])
    return made


@pytest.fixture(scope="session")
def distribution() -> type[Distribution]:
    """The class, for test modules cannot import a conftest."""
    return Distribution
