"""A tokenizer's JSON files, which are somebody else's: bounded in size, without repeated keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ollamax.errors import CheckpointError

MiB = 1 << 20
# The largest tokenizer.json in use, of 260,000 tokens, has 33 MiB.
MOST_BYTES = 128 * MiB


def read_json(path: Path) -> Any:
    """The parsed file, or None where there is none; CheckpointError if it is no JSON or too large."""
    if not path.exists():
        return None
    data = read_bytes(path)
    try:
        return json.loads(data, object_pairs_hook=lambda pairs: _unique(path, pairs))
    except RecursionError as error:
        raise CheckpointError(path, "JSON nested too deeply") from error
    except ValueError as error:  # bad syntax, bad UTF-8, or an integer of thousands of digits
        raise CheckpointError(path, f"not valid JSON: {error}") from error


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``; empty where there is no file."""
    value = read_json(path)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise CheckpointError(path, f"holds a JSON {type(value).__name__}; an object was expected")
    return value


def read_bytes(path: Path) -> bytes:
    """The whole file; CheckpointError if it is no regular file, too large or cannot be read."""
    try:
        # A pipe or a device would block or never end.
        if not path.is_file():
            raise CheckpointError(path, "not a regular file")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise CheckpointError(path, f"cannot be read: {error.strerror or error}") from error
    if len(data) > MOST_BYTES:
        raise CheckpointError(path, f"larger than {MOST_BYTES // MiB} MiB, which no tokenizer needs")
    return data


def _unique(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1) if len(keys) < 1000 else None
        raise CheckpointError(path, f"key {twice!a:.80} occurs twice" if twice else "a key occurs twice")
    return result


def typed(path: Path, value: Any, kind: type, where: str) -> Any:
    """``value`` if it is a ``kind`` (a bool is no int); CheckpointError naming ``where`` otherwise."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise CheckpointError(path, f"{value!a:.60} is no {kind.__name__}", where=where)
    return value
