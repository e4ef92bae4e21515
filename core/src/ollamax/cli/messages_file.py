"""A chat in a JSON file: ``[{"role": "user", "content": "Hello"}]``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ollamax.errors import UsageError
from ollamax.json_file import MiB, read_bytes

_MOST = 64 * MiB


def read_messages_file(name: str) -> list[Any]:
    """The list in the file called ``name``, ``-`` for standard input; UsageError where it is no JSON list."""
    data = sys.stdin.buffer.read(_MOST + 1) if name == "-" else read_bytes(Path(name), _MOST)
    place = "standard input" if name == "-" else name
    if len(data) > _MOST:
        raise UsageError(f"{place} is larger than {_MOST // MiB} MiB, too large for a chat")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{place} is not valid JSON: {error}") from error
    if not isinstance(value, list):
        raise UsageError(
            f"{place} holds a JSON {type(value).__name__}; expected a list of messages with role and content"
        )
    return value
