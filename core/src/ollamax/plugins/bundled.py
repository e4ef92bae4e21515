"""A model that travels inside a plugin's package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ollamax.errors import PluginError


@dataclass(frozen=True, slots=True)
class BundledModel:
    """What the hook ``ollamax_models`` returns: one GGUF file that a package brings along.

    ``name`` is the model's name on the command line (``ollamax run NAME``). ``path`` is the .gguf file inside
    the package, or a callable that returns it, for a package that has to unpack it first. ``modelfile`` is the
    text of a Modelfile without its FROM line (PARAMETER, TEMPLATE, SYSTEM, ...), or None.
    """

    name: str
    path: Path | Callable[[], Path]
    description: str
    modelfile: str | None = None

    def file(self) -> Path:
        """The .gguf file, which exists; raises PluginError where the plugin gives none."""
        label = f"bundled model {self.name!r}"
        try:
            found = self.path() if callable(self.path) else self.path
        except Exception as error:
            raise PluginError(f"{label}: its plugin cannot give the file: {error!r}") from error
        if not isinstance(found, Path):
            raise PluginError(f"{label}: its plugin gives {found!r} where a pathlib.Path is expected")
        if not found.is_file():
            raise PluginError(f"{label}: {found} is missing; reinstall the plugin that brings it")
        return found
