"""How the verse vocabularies cut text before merging."""

from __future__ import annotations

from ollamax.tokenizer.base import PreTokenizer


class Verse(PreTokenizer):
    """Words with the space before them, single digits, symbols, line ends: take the patterns from tokenizer.json.

    ``names`` are what ``tokenizer.ggml.pre`` says in files that use it.
    """

    names = ("verse",)
    patterns = (r"\p{N}| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s*[\r\n]+|\s+(?!\S)|\s+",)
