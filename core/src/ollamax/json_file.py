"""A JSON file of somebody else's: bounded in size before it is read, without repeated keys, holding one object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ollamax.errors import CheckpointError

MiB = 1 << 20
# The largest such file in use, a tokenizer.json of 260,000 tokens, has 33 MiB.
MOST_BYTES = 128 * MiB


def read_object(path: Path, most: int = MOST_BYTES) -> dict[str, Any]:
    """The object in ``path``; CheckpointError when it is no file, over ``most`` bytes, or not such JSON."""
    return parse_object(path, read_bytes(path, most))


def read_optional(path: Path) -> dict[str, Any]:
    """The object in ``path``; empty where there is no file."""
    return read_object(path) if path.exists() else {}


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """The whole file; CheckpointError if it is no regular file, over ``most`` bytes or cannot be read."""
    try:
        # A pipe or a device would block or never end.
        if not path.is_file():
            raise CheckpointError(path, "not a regular file")
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise CheckpointError(path, f"cannot be read: {error.strerror or error}") from error
    if len(data) > most:
        raise CheckpointError(path, f"larger than {most // MiB} MiB, which no such file needs")
    return data


def parse_object(path: Path, data: bytes) -> dict[str, Any]:
    """The JSON object in ``data``, which comes from ``path``; a repeated key is an error at any depth."""
    check_pointer(path, data)
    try:
        value = json.loads(data, object_pairs_hook=_unique)
    except _RepeatedKeyError as error:
        raise CheckpointError(path, "occurs twice", where=f"key {error}") from error
    except RecursionError as error:
        raise CheckpointError(path, "JSON nested too deeply") from error
    except ValueError as error:  # bad syntax, bad UTF-8, or an integer of thousands of digits
        raise CheckpointError(path, f"not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(path, f"holds a JSON {type(value).__name__}; expected an object")
    return value


def check_pointer(path: Path, head: bytes) -> None:
    """CheckpointError if a file that begins with ``head`` only says where Git LFS keeps the file itself."""
    if head.startswith(b"version https://git-lfs"):
        raise CheckpointError(path, "a Git LFS pointer; fetch the file itself with `git lfs pull`")


def typed(path: Path, value: Any, kind: type, where: str) -> Any:
    """``value`` if it is a ``kind`` (a bool is no int); CheckpointError naming ``where`` otherwise."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise CheckpointError(path, f"{value!a:.60} is no {kind.__name__}", where=where)
    return value


class _RepeatedKeyError(Exception):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _RepeatedKeyError(ascii(key[:100]))
            seen.add(key)
    return result
