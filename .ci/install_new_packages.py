"""Installs what lies in plugins/ and is not in this environment yet, with what its tests need."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Ask pip for all of them at once."""
    installed = {distribution.metadata["Name"] for distribution in distributions()}
    missing = []
    for path in sorted((ROOT / "plugins").glob("*/pyproject.toml")):
        if tomllib.loads(path.read_text(encoding="utf-8"))["project"]["name"] not in installed:
            missing += ["-e", str(path.parent)]
    if missing:
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", *missing], check=True)


if __name__ == "__main__":
    main()
