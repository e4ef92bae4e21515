"""The examples that new packages begin as: complete plugins in ``templates``."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable

from ollamax.scaffold.plugin_name import PluginKind, PluginName
from ollamax.scaffold.renaming import Renaming

_NAMES = {PluginKind.ARCHITECTURE: "poem", PluginKind.BACKEND: "abacus", PluginKind.TOKENIZER: "verse"}


def example_texts(name: PluginName) -> dict[str, str]:
    """The files of the example of this kind under the new name, by their paths in the package."""
    old = PluginName(_NAMES[name.kind], name.kind)
    renamed = Renaming(old, old.class_name, name).in_prose
    templates = files("ollamax.scaffold") / "templates"
    return {
        path.replace(old.module, name.module): renamed(file.read_text(encoding="utf-8"))
        for folder in ("common", str(name.kind))
        for path, file in _walk(templates / folder)
    }


def _walk(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_file():
            yield f"{prefix}{item.name}", item
        elif item.name != "__pycache__":
            yield from _walk(item, f"{prefix}{item.name}/")
