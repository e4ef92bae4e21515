"""Hook implementations of ollamax-tokenizer-verse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ollamax.plugins import hookimpl

if TYPE_CHECKING:
    from ollamax.tokenizer.base import PreTokenizer, Tokenizer


@hookimpl
def ollamax_tokenizers() -> list[type[Tokenizer] | type[PreTokenizer]]:
    """The verse pre-tokenizer."""
    from ollamax_tokenizer_verse.pre_tokenizer import Verse

    return [Verse]
