"""The standard tokenizers, registered through the same hook as everybody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ollamax.plugins import hookimpl

if TYPE_CHECKING:
    from ollamax.tokenizer.base import PreTokenizer, Tokenizer


@hookimpl
def ollamax_tokenizers() -> list[type[Tokenizer] | type[PreTokenizer]]:
    """BPE, SPM and the pre-tokenizers of the field."""
    from ollamax.tokenizer.bpe import BPE
    from ollamax.tokenizer.pretokenizers import PRE_TOKENIZERS
    from ollamax.tokenizer.spm import SPM

    return [BPE, SPM, *PRE_TOKENIZERS]
