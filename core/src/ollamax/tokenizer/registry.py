"""Chooses a tokenizer class for a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ollamax.errors import TokenizerError
from ollamax.tokenizer.base import PreTokenizer, Tokenizer

_MODEL = "tokenizer.ggml.model"


def build_tokenizer(
    metadata: Mapping[str, Any], tokenizers: Iterable[type[Tokenizer] | type[PreTokenizer]]
) -> Tokenizer:
    """The tokenizer that ``metadata`` (GGUF keys) describes, of the classes that plugins provide.

    Raises TokenizerError when ``tokenizer.ggml.model`` is missing or nobody provides it, or the class rejects the
    file. Of two classes with one name the first wins; the plugin manager reports such a pair.
    """
    models: dict[str, type[Tokenizer]] = {}
    pre_tokenizers: dict[str, type[PreTokenizer]] = {}
    for found in tokenizers:
        if issubclass(found, Tokenizer):
            for name in found.models:
                models.setdefault(name, found)
        else:
            for name in found.names:
                pre_tokenizers.setdefault(name, found)
    model = metadata.get(_MODEL)
    if not isinstance(model, str) or model not in models:
        problem = f"the file has no {_MODEL}" if model is None else f"{_MODEL} is {model!r}, which no plugin provides"
        known = ", ".join(sorted(models)) or "none"
        raise TokenizerError(f"{problem}; installed: {known}")
    return models[model](metadata, pre_tokenizers)
