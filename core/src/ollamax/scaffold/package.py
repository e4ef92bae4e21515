"""Writing a new plugin's package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ollamax.new_directory import new_directory
from ollamax.scaffold.plugin_name import PluginName


def write_package(name: PluginName, directory: Path, texts: Mapping[str, str]) -> None:
    """Make ``directory`` a package of ``texts``, which are files by their paths in it.

    Raises UsageError for a name that is taken and a directory that is not new, and OutputError where it cannot be
    written; then nothing is.
    """
    name.check_free()
    with new_directory(directory) as folder:
        for path, text in texts.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", newline="\n")


def default_directory(name: PluginName, here: Path) -> Path:
    """``plugins/`` of the checkout of ollamax that ``here`` lies in; elsewhere a folder below ``here``."""
    for folder in (here, *here.parents):
        if (folder / "core" / "src" / "ollamax").is_dir() and (folder / "plugins").is_dir():
            return folder / "plugins" / name.folder
    return here / name.distribution
