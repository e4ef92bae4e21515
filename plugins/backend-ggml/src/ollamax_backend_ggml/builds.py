"""Which build of ggml is used: that of ggml-python, or another that ``OLLAMAX_GGML_LIBRARY`` names."""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ollamax.errors import BackendError

VARIABLE = "OLLAMAX_GGML_LIBRARY"

VERSIONS = ("0.15.", "0.25.")
"""What versions begin with whose graphs, structs and buffers fit the bindings; the first is that of ggml-python."""

_PREFIXES, _SUFFIXES = ("lib", ""), (".so", ".dylib", ".dll")


class BuildError(BackendError):
    """The build that the environment names cannot be used."""


class Build:
    """The shared libraries of another build, searched for functions in this order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not folder.is_dir():
            raise BuildError(f"{VARIABLE}: {folder} is neither a folder nor an installed package")
        paths = [path for part in ("ggml", "ggml-base", "ggml-cpu") if (path := _find(folder, part))]
        if not paths:
            raise BuildError(
                f"{VARIABLE}: {folder} holds no libggml; name a folder with one, or a package such as llama_cpp"
            )
        try:
            self._parts = [ctypes.CDLL(str(path), mode=_mode()) for path in paths]
        except OSError as error:
            raise BuildError(f"{VARIABLE}: the library in {folder} does not load ({error})") from None

    def function(self, name: str) -> Any:
        """The function of that name; raises BuildError."""
        for part in self._parts:
            if hasattr(part, name):
                return getattr(part, name)
        raise BuildError(f"{VARIABLE}: the library in {self.folder} has no function {name}")


def chosen_build() -> Build | None:
    """The build that the environment names, by a folder or a package with a folder ``lib``; None for ggml-python's."""
    value = os.environ.get(VARIABLE, "")
    if not value:
        return None
    if value.isidentifier() and not Path(value).is_dir():
        try:
            spec = find_spec(value)
        except ValueError:  # a module that was not found, such as __main__
            spec = None
        if spec is None or not spec.submodule_search_locations:
            raise BuildError(f"{VARIABLE} is {value!r}, which is neither a folder nor an installed package")
        return Build(Path(next(iter(spec.submodule_search_locations))) / "lib")
    return Build(Path(value))


def _find(folder: Path, part: str) -> Path | None:
    names = (f"{prefix}{part}{suffix}" for suffix in _SUFFIXES for prefix in _PREFIXES)
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _mode() -> int:
    """On Linux a library looks into those loaded before it first, here ggml-python's; this makes it look at home."""
    return ctypes.DEFAULT_MODE | (os.RTLD_DEEPBIND if sys.platform == "linux" else 0)
