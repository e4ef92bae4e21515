"""A package's metadata where Python finds it, without pip, which needs a network to build anything.

usage: python as_if_installed.py FOLDER install [-q] -e PACKAGE
"""

import sys
import tomllib
from pathlib import Path


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


if __name__ == "__main__":
    place, verb, *_options, last = sys.argv[1:]
    assert verb == "install"
    as_if_installed(Path(last), Path(place))
