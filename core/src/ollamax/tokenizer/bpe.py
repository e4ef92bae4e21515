"""Byte-level BPE tokenizers (``tokenizer.ggml.model`` "gpt2"), run by the ``tokenizers`` library."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ollamax.errors import TokenizerError
from ollamax.tokenizer.base import PreTokenizer
from ollamax.tokenizer.byte_level import spelled_bytes
from ollamax.tokenizer.piece import PieceTokenizer
from ollamax.tokenizer.vocabulary import ORIGIN, TokenType, Vocabulary

if TYPE_CHECKING:
    import tokenizers

_PRE = "tokenizer.ggml.pre"
_NORMALIZER = "ollamax.tokenizer.normalizer"


class BPE(PieceTokenizer):
    """Byte-level BPE from ``tokenizer.ggml.tokens``, ``merges`` and ``pre``.

    Text is cut at special tokens, then by the pre-tokenizer's patterns, and merged. Where the file has our key
    ``ollamax.tokenizer.normalizer`` "nfc" (checkpoints whose tokenizer.json asks for it), text is composed first;
    GGUF has no key for that, so files made by others are taken as they come, as llama.cpp does.
    The encoder is built at the first ``encode``.
    """

    models = ("gpt2",)

    def __init__(
        self, metadata: Mapping[str, Any], pre_tokenizers: Mapping[str, type[PreTokenizer]] | None = None
    ) -> None:
        """Raises GGUFError or TokenizerError: an unknown pre-tokenizer, a missing key, an id out of range."""
        from ollamax.gguf import Metadata

        self._pre = _choose(metadata.get(_PRE), pre_tokenizers or {})
        super().__init__(metadata, pre_tokenizers, Vocabulary(metadata, add_bos=self._pre.add_bos))
        values = Metadata(metadata, ORIGIN)
        self._merges = values.strings("tokenizer.ggml.merges")
        self._normalizer = values.string(_NORMALIZER, None)
        if self._normalizer not in (None, "nfc"):
            raise TokenizerError(f'{_NORMALIZER} is {self._normalizer!r}; only "nfc" is supported')

    def encode_plain(self, text: str, start: bool) -> list[int]:
        """Ids of ``text``; where it stands makes no difference."""
        del start
        composed = unicodedata.normalize("NFC", text) if self._normalizer else text
        ids: list[int] = self._encoder.encode(composed, add_special_tokens=False).ids
        return ids

    def normal_bytes(self, text: str) -> bytes:
        """The bytes that GPT-2's alphabet spells ``text``."""
        return spelled_bytes(text)

    @cached_property
    def _encoder(self) -> tokenizers.Tokenizer:
        from tokenizers import Regex, Tokenizer, models, pre_tokenizers

        vocabulary = self._mergeable()
        merges = [(left, right) for left, _, right in (merge.partition(" ") for merge in self._merges)]
        try:
            model = models.BPE(vocab=vocabulary, merges=merges, ignore_merges=self._pre.ignore_merges)
        except Exception as error:
            raise TokenizerError(f"tokenizer.ggml.merges do not fit tokenizer.ggml.tokens: {error}") from error
        encoder = Tokenizer(model)
        splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in self._pre.patterns]
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        encoder.pre_tokenizer = pre_tokenizers.Sequence([*splits, byte_level])
        return encoder

    def _mergeable(self) -> dict[str, int]:
        """The tokens that plain text may become: no control or unused tokens, unless a merge makes one."""
        tokens = self.vocabulary.tokens
        mergeable = {text: token for token, text in enumerate(tokens) if text}
        if len(mergeable) != len(tokens) - tokens.count(""):
            twice = next(text for token, text in enumerate(tokens) if text and mergeable[text] != token)
            raise TokenizerError(f"tokenizer.ggml.tokens has {twice!r} twice")
        hidden = self.vocabulary.of_type(TokenType.CONTROL, TokenType.UNUSED)
        made = {text for text in hidden if _splits(text, mergeable)}
        if made:  # rare, and the only reason to look at every merge
            made &= {merge.replace(" ", "", 1) for merge in self._merges}
        for text in hidden.keys() - made:
            del mergeable[text]
        return mergeable


def _splits(text: str, known: Mapping[str, int]) -> bool:
    """Whether two known tokens spell ``text``; True for a long one, which would take time by the square."""
    return len(text) > 256 or any(text[:cut] in known and text[cut:] in known for cut in range(1, len(text)))


def _choose(name: object, known: Mapping[str, type[PreTokenizer]]) -> type[PreTokenizer]:
    if isinstance(name, str) and name in known:
        return known[name]
    problem = f"the file has no {_PRE}" if name is None else f"{_PRE} is {name!r:.80}, which no plugin provides"
    raise TokenizerError(
        f"{problem} (known: {', '.join(sorted(known)) or 'none'}); a package adds one by returning a PreTokenizer "
        'subclass from the hook ollamax_tokenizers, see "Adding a pre-tokenizer" in docs/tokenizers.md'
    )
