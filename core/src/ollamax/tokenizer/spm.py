"""SentencePiece BPE tokenizers (``tokenizer.ggml.model`` "llama"), run by the ``sentencepiece`` library."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ollamax.errors import TokenizerError
from ollamax.tokenizer.base import PreTokenizer
from ollamax.tokenizer.byte_piece import BYTE_PIECES
from ollamax.tokenizer.piece import PieceTokenizer
from ollamax.tokenizer.sentencepiece_model import SPACE, Piece, encode_model
from ollamax.tokenizer.vocabulary import ORIGIN, TokenType, Vocabulary

if TYPE_CHECKING:
    import sentencepiece

# What SentencePiece's trainer and llama.cpp take where a file has no key.
_DEFAULT_IDS = {"bos": 1, "eos": 2}
_MARKS = (TokenType.CONTROL, TokenType.UNKNOWN, TokenType.USER_DEFINED)


class SPM(PieceTokenizer):
    """SentencePiece BPE from ``tokenizer.ggml.tokens`` and ``scores``.

    If ``tokenizer.ggml.add_space_prefix`` holds (the default), ``encode`` puts a space before the text, and before
    the text after each special token, as llama.cpp does. Checkpoints that want only the first of these have our key
    ``ollamax.tokenizer.space_after_special`` false, and those that want none before text that begins with a space
    ``ollamax.tokenizer.space_before_space`` false. Decoding takes such spaces away, so that text survives the round
    trip, but for a ``▁`` (U+2581) in the text, which comes back as a space, and for a space that nobody can tell from
    an added one: with the first key one after a bos that is written in the text, with the second the text's first.
    Text is not normalised. The encoder is built at the first ``encode``.
    """

    models = ("llama",)

    def __init__(
        self, metadata: Mapping[str, Any], pre_tokenizers: Mapping[str, type[PreTokenizer]] | None = None
    ) -> None:
        """Raises GGUFError or TokenizerError: a missing key, arrays of unlike length, an id out of range."""
        from ollamax.gguf import Metadata

        vocabulary = Vocabulary(metadata, add_bos=True, defaults=_DEFAULT_IDS)
        super().__init__(metadata, pre_tokenizers, vocabulary)
        values = Metadata(metadata, ORIGIN)
        self._scores = values.numbers("tokenizer.ggml.scores", length=len(vocabulary)).tolist()
        self._space = values.flag("tokenizer.ggml.add_space_prefix", True)
        self._space_again = values.flag("ollamax.tokenizer.space_after_special", True)
        self._space_before_space = values.flag("ollamax.tokenizer.space_before_space", True)
        if values.flag("tokenizer.ggml.remove_extra_whitespaces", False):
            raise TokenizerError("tokenizer.ggml.remove_extra_whitespaces is true, which is not supported")

    def encode_plain(self, text: str, start: bool) -> list[int]:
        """Ids of ``text``, with a space before it where this vocabulary wants one."""
        space = self._space and (start or self._space_again)
        if text.startswith((" ", SPACE)):
            space = space and self._space_before_space
        ids: list[int] = self._encoder.encode(f" {text}" if space else text)
        if max(ids, default=0) >= self.n_vocab:
            raise TokenizerError(
                "the text has a character that the vocabulary has no piece, no bytes and no unknown token for"
            )
        return ids

    def normal_bytes(self, text: str) -> bytes:
        """The bytes of a piece, its ``▁`` as spaces."""
        return text.replace(SPACE, " ").encode()

    def adds_space_after(self, previous: int | None) -> bool:
        """Whether ``encode`` puts a space before text that follows ``previous``; see ``Tokenizer``."""
        if previous is None or previous == self.bos:
            return self._space
        return self._space and self._space_again and self.vocabulary.types[previous] in _MARKS

    @cached_property
    def _encoder(self) -> sentencepiece.SentencePieceProcessor:
        import sentencepiece

        pieces = self._pieces()
        spelled = {piece.text for piece in pieces if piece.type is TokenType.BYTE}
        try:
            model = encode_model(pieces, byte_fallback=spelled.issuperset(BYTE_PIECES))
            encoder = sentencepiece.SentencePieceProcessor()
            encoder.LoadFromSerializedProto(model)
        except Exception as error:
            raise TokenizerError(f"tokenizer.ggml.tokens do not make a SentencePiece model: {error}") from error
        return encoder

    def _pieces(self) -> list[Piece]:
        """The vocabulary as the library takes it: no empty piece, exactly one unknown."""
        pieces: list[Piece] = []
        n_unknown = 0
        for text, score, kind in zip(self.vocabulary.tokens, self._scores, self.vocabulary.types, strict=True):
            n_unknown += kind is TokenType.UNKNOWN
            # User-defined tokens were cut out of the text before; the library never matches a control piece.
            hidden = kind is TokenType.USER_DEFINED or (kind is TokenType.UNKNOWN and n_unknown > 1)
            pieces.append(Piece(text or f"[EMPTY_{len(pieces)}]", score, TokenType.CONTROL if hidden else kind))
        if not n_unknown:
            # Its id is out of range, so that encode_plain recognises it.
            pieces.append(Piece("[NO_UNKNOWN]", 0.0, TokenType.UNKNOWN))
        return pieces
