"""Finds special tokens in text before anything else looks at it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property

from ollamax.errors import TokenizerError
from ollamax.tokenizer.vocabulary import TokenType, Vocabulary

# Unicode's White_Space; str.strip also takes the separators U+001C to U+001F, which Hugging Face's tokenizers keep.
_WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


class SpecialTokens:
    """Cuts text into special ids and the plain text between them; the leftmost, then the longest match wins.

    User-defined tokens are always found; control and unknown tokens only where the caller parses special tokens.
    Some tokens swallow the white space beside them (``lstrip``, ``rstrip`` of Hugging Face's added tokens). GGUF has
    no key for that (llama.cpp guesses it from the model's name), so it holds only where our own
    ``ollamax.tokenizer.lstrip_ids`` and ``rstrip_ids`` say so.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def split(self, text: str, parse_special: bool) -> Iterator[str | int]:
        """Ids and non-empty texts in order; raises TokenizerError for a lone surrogate."""
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise TokenizerError(
                f"the text has a lone surrogate (U+{ord(text[error.start]):04X}) at character {error.start}; "
                "remove it or decode the text with the right encoding"
            ) from error
        tokens = self._all if parse_special else self._always
        pattern = self._all_pattern if parse_special else self._always_pattern
        start = 0
        while tokens and (match := pattern.search(text, start)):
            token = tokens[match.group()]
            before = text[start : match.start()]
            if token in self._vocabulary.lstrip:
                before = before.rstrip(_WHITE_SPACE)
            if before:
                yield before
            yield token
            start = match.end()
            if token in self._vocabulary.rstrip:
                start = len(text) - len(text[start:].lstrip(_WHITE_SPACE))
        if start < len(text):
            yield text[start:]

    @cached_property
    def _always(self) -> dict[str, int]:
        return self._vocabulary.of_type(TokenType.USER_DEFINED)

    @cached_property
    def _all(self) -> dict[str, int]:
        return self._vocabulary.of_type(TokenType.USER_DEFINED, TokenType.CONTROL, TokenType.UNKNOWN)

    @cached_property
    def _always_pattern(self) -> re.Pattern[str]:
        return _pattern(self._always)

    @cached_property
    def _all_pattern(self) -> re.Pattern[str]:
        return _pattern(self._all)


def _pattern(texts: dict[str, int]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(texts, key=len, reverse=True))))
