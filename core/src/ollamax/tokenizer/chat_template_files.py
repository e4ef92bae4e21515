"""The chat templates of a Hugging Face directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ollamax.errors import CheckpointError
from ollamax.json_file import read_bytes, read_optional, typed

_KEY = "tokenizer.chat_template"
_DEFAULT = "default"


def chat_templates(directory: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """``tokenizer.chat_template`` and, where there are several, ``tokenizer.chat_template.NAME``, as in llama.cpp.

    A later source overrides an earlier one: tokenizer_config.json (``config``, a text or a list of named ones),
    chat_template.json, chat_template.jinja, and additional_chat_templates/NAME.jinja.
    """
    found = _named(directory / "tokenizer_config.json", config.get("chat_template"))
    path = directory / "chat_template.json"
    found |= _named(path, read_optional(path).get("chat_template"))
    files = {_DEFAULT: directory / "chat_template.jinja"}
    files |= {path.stem: path for path in sorted((directory / "additional_chat_templates").glob("*.jinja"))}
    found |= {name: _text(path) for name, path in files.items() if path.exists()}
    metadata: dict[str, Any] = {f"{_KEY}.{name}": text for name, text in found.items() if name != _DEFAULT}
    if metadata:
        metadata["tokenizer.chat_templates"] = [name for name in found if name != _DEFAULT]
    if _DEFAULT in found:
        metadata[_KEY] = found[_DEFAULT]
    return metadata


def _named(path: Path, value: Any) -> dict[str, str]:
    where = "chat_template"
    if value is None or isinstance(value, str):
        return {} if value is None else {_DEFAULT: value}
    entries = [typed(path, entry, dict, where) for entry in typed(path, value, list, where)]
    return {
        typed(path, entry.get("name"), str, where): typed(path, entry.get("template"), str, where) for entry in entries
    }


def _text(path: Path) -> str:
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise CheckpointError(path, "the template is no UTF-8 text", offset=error.start) from error
