"""Tries examples/ollamax-plugin-phi3 as a stranger would: wheels in this environment, nothing from the checkout.

usage: python .ci/try_example.py DIRECTORY, in an environment that may be changed; DIRECTORY is made anew.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "ollamax-plugin-phi3"
PACKAGES = (ROOT / "core", ROOT / "plugins" / "backend-cpu", EXAMPLE)
WHERE = "import ollamax, ollamax_phi3; print(ollamax.__file__, ollamax_phi3.__file__, sep='\\n')"


def main(folder: Path) -> None:
    """Build, install, test, and let a random model speak."""
    shutil.rmtree(folder, ignore_errors=True)
    wheels = [build(package, folder / "wheels") for package in PACKAGES]
    # Wheels of a version that is installed already count as installed.
    run("-m", "pip", "install", "-q", "--force-reinstall", "--no-deps", *wheels)
    core, *others = wheels
    run("-m", "pip", "install", "-q", f"{core}[testing]", *others)
    shutil.copytree(EXAMPLE / "tests", folder / "tests")
    places = [Path(line) for line in run("-c", WHERE, cwd=folder).splitlines()]
    if not all(place.is_relative_to(sys.prefix) for place in places):
        raise SystemExit(f"imported from elsewhere than {sys.prefix}: {places}")
    print(run("-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "tests", cwd=folder))
    run("-m", "ollamax.testing.random_checkpoint", "tests/checkpoint.json", "model", cwd=folder)
    command = [str(Path(sys.executable).with_name("ollamax")), "run", "model", "the cat sat", "--num-predict", "12"]
    done = subprocess.run([*command, "--verbose"], cwd=folder, check=True, capture_output=True, text=True)
    if not done.stdout.strip():
        raise SystemExit("the model said nothing")
    print(done.stdout, done.stderr, sep="\n")


def build(package: Path, folder: Path) -> str:
    """The wheel of a package, alone in a new folder."""
    target = folder / package.name
    run("-m", "pip", "wheel", "-q", "--no-deps", "-w", str(target), str(package))
    (wheel,) = target.glob("*.whl")
    return str(wheel)


def run(*arguments: str, cwd: Path | None = None) -> str:
    """What Python prints; the script ends where it fails."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, check=False, cwd=cwd, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stdout}")
    return done.stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]))
