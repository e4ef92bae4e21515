"""Whether a converted tokenizer gives the ids of the one that it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ollamax.errors import CheckpointError
from ollamax.tokenizer.base import Tokenizer
from ollamax.tokenizer.sample_texts import sample_texts
from ollamax.tokenizer.source_tokenizer import SourceTokenizer, open_source_tokenizer
from ollamax.tokenizer.vocabulary import TokenType

_MARKED = (TokenType.CONTROL, TokenType.USER_DEFINED, TokenType.UNKNOWN)


def check_ids(directory: Path, metadata: Mapping[str, Any], tokenizer: Tokenizer) -> None:
    """Compare ``tokenizer``, built from the GGUF keys ``metadata``, with the one in ``directory`` that they came from.

    The texts are ``SAMPLE_TEXTS`` and one around each special or added token. Raises CheckpointError for the first that
    becomes other ids.
    """
    source = open_source_tokenizer(directory)
    kinds = metadata.get("tokenizer.ggml.token_type", ())
    texts = metadata.get("tokenizer.ggml.tokens", ())
    tokens = [text for text, kind in zip(texts, kinds, strict=False) if kind in _MARKED and text]
    for text in sample_texts(tokens):
        compare(source, tokenizer, text)


def compare(source: SourceTokenizer, tokenizer: Tokenizer, text: str) -> None:
    """Raise CheckpointError, naming the first token that differs, unless both make the same ids of ``text``."""
    theirs, ours = source.encode(text), tokenizer.encode(text, add_bos=False)
    if theirs == ours:
        return
    pairs = zip_longest(ours, theirs)
    place, (our, their) = next((place, pair) for place, pair in enumerate(pairs) if pair[0] != pair[1])
    shown = text if len(text) <= 40 else f"{text[:37]}..."
    raise CheckpointError(
        source.path,
        f"the text {shown!a} becomes other ids after conversion: {_named(tokenizer, our)} at position {place}, not "
        f"{_named(tokenizer, their)}; a package that returns a tokenizer from the hook ollamax_tokenizers can "
        "give the right ones, see docs/tokenizers.md",
        where="ids",
    )


def _named(tokenizer: Tokenizer, token: int | None) -> str:
    if token is None:
        return "none"
    return f"{token} ({tokenizer.token_text(token)!a:.40})" if token < tokenizer.n_vocab else str(token)
