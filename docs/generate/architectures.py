"""Keys and tensors of an architecture, out of what its class reads and declares."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from typing import Any

from ollamax.arch import Architecture
from ollamax.errors import ArchitectureError
from readme import choices, key_meanings
from recording import Reading, Recorder
from symbolic import text_of
from table import code, table

_BLOCK = re.compile(r"\b(blk)\.\d+\.")
_COMPUTED = "…"
_DEPENDS = "depends"


def architectures(root: Path) -> Iterator[tuple[Path, type[Architecture]]]:
    """The packages that ship with the root package and have some, and the classes that their hooks return.

    One that is new in ``plugins`` makes no page stale.
    """
    shipped = {re.split("[><=; ]", text)[0] for text in _project(root)["dependencies"]}
    for path in sorted(root.glob("plugins/*/pyproject.toml")):
        project = _project(path.parent)
        if project["name"] not in shipped:
            continue
        entries = project["entry-points"]["ollamax"]
        for module in map(import_module, entries.values()):
            if "ollamax_architectures" in vars(module):
                for found in module.ollamax_architectures():
                    yield path.parent, found


def _project(folder: Path) -> dict[str, Any]:
    return dict(tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"])


def keys(package: Path, found: type[Architecture]) -> str:
    """A table of the keys that a file of this architecture has."""
    meanings = key_meanings(package / "README.md")
    readings = _readings(found, meanings)
    if missing := sorted(readings.keys() - meanings.keys() - {"tokenizer.ggml.tokens"}):
        raise ValueError(f"{package.name}/README.md does not say what these keys are, which are read: {missing}")
    rows = [[code(key), *_cells(readings.get(key)), meaning] for key, meaning in meanings.items()]
    return table(["key", "type", "if absent", "meaning"], rows)


def tensors(package: Path, found: type[Architecture]) -> str:
    """A table of the tensors that a file of this architecture has; sizes are keys below its name."""
    meanings = key_meanings(package / "README.md")
    model, larger = (found(Recorder(found.name, meanings, {}, scale)) for scale in (1, 2))
    shapes, others = model.tensor_shapes(), larger.tensor_shapes()
    rows: dict[str, list[str]] = {}
    for path, parameter in model.parameters():
        pattern = next((pattern for pattern in shapes if fnmatchcase(path, pattern)), None)
        shape = _shape(shapes[pattern], others[pattern]) if pattern else "any"
        absent = "error"
        if parameter.alt:
            absent = f"{code(parameter.alt)} serves"
        elif parameter.optional:
            absent = "left out"
        name = _BLOCK.sub(r"\1.N.", path)
        rows[name] = [code(name), shape, absent]
    return table(["tensor", "shape", "if absent"], rows.values())


def _readings(found: type[Architecture], meanings: Mapping[str, str]) -> dict[str, Reading]:
    """What is read in any of the variants: those that the README names, such as kinds of RoPE scaling, and others."""
    plain = Recorder(found.name, meanings, {})
    found(plain)
    texts = [key for key, reading in plain.readings.items() if reading.kind == "string"]
    chosen = [{key: choice} for key in texts for choice in choices(meanings.get(key, ""))]
    recorders = [
        plain,
        Recorder(found.name, meanings, {}, scale=2),
        *(Recorder(found.name, meanings, texts, scale) for texts in chosen for scale in (1, 2)),
        Recorder(found.name, (), {}),  # a file with nothing but what is required
    ]
    merged: dict[str, Reading] = {}
    for recorder in recorders:
        with suppress(ArchitectureError):  # such a file may be refused; what was read until then counts
            found(recorder)
        for key, reading in recorder.readings.items():
            both = merged.setdefault(key, Reading(reading.kind))
            both.bounds |= reading.bounds
            both.defaults |= reading.defaults
    for key, reading in merged.items():
        if not reading.defaults and not all(key in recorder.readings for recorder in recorders):
            reading.defaults = {"", _DEPENDS}
    return merged


def _cells(reading: Reading | None) -> list[str]:
    if reading is None:
        return ["", "not read by the model"]
    bounds = reading.bounds if len(reading.bounds) == 1 else ()
    kind = ", ".join(filter(None, [reading.kind, *bounds]))
    if not reading.defaults:
        return [kind, "error"]
    return [kind, code(*reading.defaults) if len(reading.defaults) == 1 else _DEPENDS]


def _shape(sizes: tuple[int | None, ...], others: tuple[int | None, ...]) -> str:
    return code(f"({', '.join(map(_size, sizes, others))}{',' * (len(sizes) == 1)})")


def _size(size: int | None, other: int | None) -> str:
    if size is None:
        return "any"
    return text_of(size) if other is not None and text_of(size) == text_of(other) else _COMPUTED
