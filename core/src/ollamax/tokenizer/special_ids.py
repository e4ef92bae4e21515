"""The special ids of a Hugging Face directory: bos, eos and their like."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ollamax.errors import CheckpointError
from ollamax.json_file import read_optional, typed

# GGUF's name and Hugging Face's.
_NAMES = {"bos": "bos", "eos": "eos", "unknown": "unk", "padding": "pad", "seperator": "sep", "mask": "mask"}
_CONFIG, _MAP = "tokenizer_config.json", "special_tokens_map.json"


class SpecialIds:
    """Which tokens are special, as tokenizer_config.json, special_tokens_map.json and the model's configs say.

    ``texts`` are all texts that one of the first two calls special.
    """

    def __init__(self, directory: Path, config: Mapping[str, Any]) -> None:
        paths = [directory / name for name in ("generation_config.json", "config.json")]
        self._model_configs = [(path, read_optional(path)) for path in paths]
        self._named: dict[str, tuple[Path, str]] = {}
        self.texts: set[str] = set()
        for path, values in (
            (directory / _CONFIG, config),
            (directory / _MAP, read_optional(directory / _MAP)),
        ):
            for name in _NAMES.values():
                text = _content(path, values.get(f"{name}_token"), f"{name}_token")
                if text is not None:
                    self._named.setdefault(name, (path, text))
                    self.texts.add(text)
            for key in ("additional_special_tokens", "extra_special_tokens"):
                self.texts.update(_contents(path, values.get(key), key))

    def metadata(self, ids: Mapping[str, int], n_vocab: int) -> dict[str, Any]:
        """``tokenizer.ggml.*_token_id`` and the list of all end ids; ``ids`` are the vocabulary's.

        A token that only generation_config.json or config.json name is taken from there.
        """
        found: dict[str, Any] = {}
        for gguf_name, name in _NAMES.items():
            declared = self._declared(f"{name}_token_id", n_vocab)
            if name in self._named:
                path, text = self._named[name]
                if text not in ids:
                    raise CheckpointError(path, f"{text!a:.60} is not in the vocabulary", where=f"{name}_token")
                found[f"tokenizer.ggml.{gguf_name}_token_id"] = ids[text]
            elif declared:
                found[f"tokenizer.ggml.{gguf_name}_token_id"] = declared[0]
        ends = self._declared("eos_token_id", n_vocab)
        if ends and ends != [found.get("tokenizer.ggml.eos_token_id")]:
            found["ollamax.tokenizer.end_ids"] = ends
        return found

    def _declared(self, key: str, n_vocab: int) -> list[int]:
        """The id or ids under ``key`` of generation_config.json, else of config.json."""
        for path, config in self._model_configs:
            value = config.get(key)
            if value is None:
                continue
            values = value if isinstance(value, list) else [value]
            if key == "pad_token_id":
                # Only training pads. Published configs say -1 for no such token, or name one beyond the vocabulary.
                values = [token for token in values if 0 <= typed(path, token, int, key) < n_vocab]
            for token in values:
                if not 0 <= typed(path, token, int, key) < n_vocab:
                    raise CheckpointError(path, f"id {token} is not below the {n_vocab} tokens", where=key)
            return values
        return []


def _content(path: Path, value: Any, where: str) -> str | None:
    """A token that is written as a string or as an object with ``content``; an empty string is none."""
    if isinstance(value, dict):
        value = value.get("content")
    return None if value is None else str(typed(path, value, str, where)) or None


def _contents(path: Path, values: Any, where: str) -> list[str]:
    if isinstance(values, dict):  # names to tokens
        values = list(values.values())
    found = [_content(path, value, where) for value in typed(path, values or [], list, where)]
    return [text for text in found if text is not None]
