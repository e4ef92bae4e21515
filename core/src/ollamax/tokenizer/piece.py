"""What byte-level BPE and SentencePiece share: a vocabulary of pieces, and special tokens cut out of the text."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from ollamax.tokenizer.base import PreTokenizer, Tokenizer
from ollamax.tokenizer.byte_piece import byte_of_piece
from ollamax.tokenizer.special import SpecialTokens
from ollamax.tokenizer.vocabulary import TokenType, Vocabulary


class PieceTokenizer(Tokenizer):
    """A tokenizer over a ``Vocabulary``; a subclass encodes plain text and spells normal tokens."""

    def __init__(
        self,
        metadata: Mapping[str, Any],
        pre_tokenizers: Mapping[str, type[PreTokenizer]] | None,
        vocabulary: Vocabulary,
    ) -> None:
        super().__init__(metadata, pre_tokenizers)
        self.vocabulary = vocabulary
        self._special = SpecialTokens(vocabulary)

    @abstractmethod
    def encode_plain(self, text: str, start: bool) -> list[int]:
        """Ids of non-empty ``text`` without special tokens; ``start`` when nothing comes before it."""

    @abstractmethod
    def normal_bytes(self, text: str) -> bytes:
        """The bytes of a normal token that the vocabulary spells ``text``."""

    @property
    def n_vocab(self) -> int:
        """Number of tokens."""
        return len(self.vocabulary)

    @property
    def bos(self) -> int | None:
        """The beginning-of-text id, or None."""
        return self.vocabulary.bos

    @property
    def eos(self) -> int | None:
        """The main end-of-text id, or None."""
        return self.vocabulary.eos

    @property
    def end_ids(self) -> frozenset[int]:
        """All ids that end a generation; see ``Vocabulary.end_ids``."""
        return self.vocabulary.end_ids

    def encode(self, text: str, add_bos: bool | None = None, parse_special: bool = True) -> list[int]:
        """Ids of ``text``; see ``Tokenizer.encode``."""
        ids: list[int] = []
        start = True
        for part in self._special.split(text, parse_special):
            if isinstance(part, int):
                ids.append(part)
            else:
                ids.extend(self.encode_plain(part, start))
            start = False
        return self.vocabulary.framed(ids, add_bos)

    def token_bytes(self, token: int, special: bool = False) -> bytes:
        """The bytes of one token; see ``Tokenizer.token_bytes``. Unused tokens are empty."""
        text = self.token_text(token)
        match self.vocabulary.types[token]:
            case TokenType.NORMAL:
                return self.normal_bytes(text)
            case TokenType.USER_DEFINED:
                return text.encode()
            case TokenType.CONTROL | TokenType.UNKNOWN:
                return text.encode() if special else b""
            case TokenType.BYTE:
                return byte_of_piece(text)
            case _:
                return b""

    def token_text(self, token: int) -> str:
        """The vocabulary's own spelling of a token."""
        return self.vocabulary.tokens[self.vocabulary.check(token)]
