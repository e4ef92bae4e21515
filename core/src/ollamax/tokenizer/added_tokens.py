"""The tokens that a Hugging Face tokenizer adds to its model's vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ollamax.errors import CheckpointError
from ollamax.json_file import typed
from ollamax.tokenizer.token_table import MAX_TOKENS

TOKENIZER, CONFIG, ADDED = "tokenizer.json", "tokenizer_config.json", "added_tokens.json"


@dataclass(frozen=True, slots=True)
class AddedToken:
    """A token that is matched in the text before the tokenizer's model sees it."""

    token: int
    text: str
    special: bool = False
    lstrip: bool = False
    rstrip: bool = False


def added_tokens(
    directory: Path, tokenizer: Mapping[str, Any], config: Mapping[str, Any], added: Mapping[str, Any]
) -> dict[int, AddedToken]:
    """Added tokens by id from the parsed tokenizer.json, tokenizer_config.json and added_tokens.json.

    Of two files that describe a token the first counts; CheckpointError when they give one id two texts, or for a
    token that is matched only as a whole word.
    """
    found: dict[int, AddedToken] = {}
    for path, entry, token in _entries(directory, tokenizer, config, added):
        new = _parse(path, entry, token)
        known = found.setdefault(new.token, new)
        if known.text != new.text:
            raise CheckpointError(path, f"id {new.token} is {new.text!a:.60} here, {known.text!a:.60} elsewhere")
    return found


def _entries(
    directory: Path, tokenizer: Mapping[str, Any], config: Mapping[str, Any], added: Mapping[str, Any]
) -> Iterator[tuple[Path, Mapping[str, Any], Any]]:
    path = directory / TOKENIZER
    for entry in typed(path, tokenizer.get("added_tokens") or [], list, "added_tokens"):
        yield path, typed(path, entry, dict, "added_tokens"), entry.get("id")
    path = directory / CONFIG
    for key, entry in typed(path, config.get("added_tokens_decoder") or {}, dict, "added_tokens_decoder").items():
        token = int(key) if key.isascii() and key.isdigit() and len(key) < 10 else key
        yield path, typed(path, entry, dict, "added_tokens_decoder"), token
    for text, token in added.items():
        yield directory / ADDED, {"content": text}, token


def _parse(path: Path, entry: Mapping[str, Any], token: Any) -> AddedToken:
    text = typed(path, entry.get("content"), str, "an added token's content")
    where = f"added token {text!a:.60}"
    if not text:
        raise CheckpointError(path, "an added token has no text")
    flags = {name: typed(path, entry.get(name, False), bool, where) for name in ("special", "lstrip", "rstrip")}
    if typed(path, entry.get("single_word", False), bool, where):
        raise CheckpointError(path, "single_word is not supported", where)
    if not 0 <= typed(path, token, int, where) < MAX_TOKENS:
        raise CheckpointError(path, f"id {token}; a number below {MAX_TOKENS} was expected", where)
    return AddedToken(token, text, **flags)
