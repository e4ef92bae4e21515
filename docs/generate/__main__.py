"""Writes the reference pages from the code: ``python docs/generate``, or with ``--check`` says which are stale."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

# Before ollamax is imported: a page must not show what happens to be installed.
os.environ["OLLAMAX_PLUGINS"] = ""

from commands import commands
from hooks import contracts, hooks
from instructions import instructions
from layout import layout
from library import library
from modules import building_blocks, caches
from operations import operations

_FOLDER = Path(__file__).parents[1] / "reference"
_NOTE = "<!-- Made from the code by `python docs/generate`; do not edit. -->"
PAGES = {
    "python.md": library,
    "command-line.md": commands,
    "modelfile.md": instructions,
    "hooks.md": hooks,
    "contracts.md": contracts,
    "nn.md": building_blocks,
    "ops.md": operations,
    "caches.md": caches,
    "gguf.md": layout,
}


def main() -> int:
    """Write the pages, or compare them; 1 if one is stale, or something has no description."""
    parser = argparse.ArgumentParser(prog="python docs/generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, and fail if a page is stale")
    parser.add_argument("--folder", type=Path, default=_FOLDER, help="where the pages are; by default docs/reference")
    arguments = parser.parse_args()
    try:
        made = {name: f"{_NOTE}\n\n{page()}\n" for name, page in PAGES.items()}
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    if arguments.check:
        return _compare(made, arguments.folder)
    arguments.folder.mkdir(exist_ok=True)
    for name, text in made.items():
        (arguments.folder / name).write_text(text, encoding="utf-8")
    return 0


def _compare(made: dict[str, str], folder: Path) -> int:
    held = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    stale = sorted(name for name in made.keys() | held.keys() if made.get(name) != held.get(name))
    if stale:
        print(f"{folder} is not what the code says: {', '.join(stale)}; run python docs/generate", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
