"""A trace as a directory: ``trace.json`` says what it is of, ``tensors.safetensors`` holds the values."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

from ollamax.errors import CheckpointError, TraceError
from ollamax.inspect.trace import Array, Trace
from ollamax.json_file import MiB, read_object, typed
from ollamax.new_directory import new_directory

MANIFEST, TENSORS = "trace.json", "tensors.safetensors"
FORMAT = 1
_TEXTS = ("model", "digest", "architecture", "made_by", "weights")
_NUMBERS = ("vocabulary", "layers")


def is_trace(path: Path) -> bool:
    """Whether ``path`` is the directory of a trace."""
    return (path / MANIFEST).is_file()


def save_trace(trace: Trace, directory: Path) -> None:
    """Write ``trace`` as ``directory``, all of it or nothing; raises what ``new_directory`` does."""
    import numpy as np
    from safetensors.numpy import save

    manifest: dict[str, Any] = {"format": FORMAT, **{name: getattr(trace, name) for name in (*_TEXTS, *_NUMBERS)}}
    manifest["tokens"] = list(trace.tokens)
    manifest["modules"] = sorted(trace.modules)
    manifest["tensors"] = {name: list(value.shape) for name, value in trace.tensors.items()}
    with new_directory(directory) as folder:
        # The library writes the memory of an array as it lies.
        (folder / TENSORS).write_bytes(
            save({name: np.array(value, order="C") for name, value in trace.tensors.items()})
        )
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def load_trace(directory: Path) -> Trace:
    """The trace in ``directory``; raises TraceError for what is none or contradicts itself."""
    try:
        return _load(directory)
    except CheckpointError as error:
        raise TraceError(error.path, error.problem, error.where, error.offset) from error


def _load(directory: Path) -> Trace:
    path = directory / MANIFEST
    manifest = read_object(path, 8 * MiB)
    if manifest.get("format") != FORMAT:
        raise TraceError(path, f"format {manifest.get('format')!a:.20} is unknown; expected {FORMAT}", "format")
    texts = {name: typed(path, manifest.get(name), str, name) for name in _TEXTS}
    numbers = {name: typed(path, manifest.get(name), int, name) for name in _NUMBERS}
    tokens = tuple(typed(path, token, int, "tokens") for token in typed(path, manifest.get("tokens"), list, "tokens"))
    modules = [typed(path, name, str, "modules") for name in typed(path, manifest.get("modules"), list, "modules")]
    shapes = typed(path, manifest.get("tensors"), dict, "tensors")
    if not tokens or not shapes:
        raise TraceError(path, "a trace has at least one token and one tensor")
    tensors = _read_tensors(directory / TENSORS, shapes, len(tokens))
    return Trace(**texts, **numbers, tokens=tokens, tensors=tensors, modules=frozenset(modules))


def _read_tensors(path: Path, shapes: dict[str, Any], count: int) -> dict[str, Array]:
    from ollamax.convert.safetensors import SafetensorsFile

    with closing(SafetensorsFile(path)) as file:
        if set(file.tensors) != set(shapes):
            raise TraceError(path, f"does not hold the tensors that {MANIFEST} lists; save the trace again")
        tensors = {}
        for name, shape in shapes.items():
            stored = file.tensors[name]
            if stored.dtype != "F32" or list(stored.shape) != shape or stored.shape[:1] != (count,):
                found = f"{stored.dtype} {list(stored.shape)}"
                raise TraceError(path, f"is {found}; expected F32 with a row for each of {count} tokens", name)
            tensors[name] = file.tensor_bytes(name).view("<f4").reshape(stored.shape).copy()
        return tensors
