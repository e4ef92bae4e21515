"""SentencePiece's ModelProto (fields of its sentencepiece_model.proto), as much of it as a tokenizer needs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from ollamax.tokenizer import protobuf
from ollamax.tokenizer.vocabulary import TokenType

SPACE = "▁"  # U+2581, the spelling of a space

# Field numbers of ModelProto and of the messages in it.
_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3
_TEXT, _SCORE, _TYPE = 1, 2, 3
_ALGORITHM, _SUFFIX, _BYTE_FALLBACK = 3, 24, 35
_NAME, _CHARSMAP, _DUMMY_PREFIX, _REMOVE_SPACES, _ESCAPE = 1, 2, 3, 4, 5
_BPE = 2


class Piece(NamedTuple):
    """One entry of the vocabulary; the types are numbered as GGUF's."""

    text: str
    score: float
    type: TokenType


@dataclass
class SentencePieceModel:
    """A model file: its pieces by id, and whether a space goes before the text."""

    pieces: list[Piece] = field(default_factory=list)
    add_dummy_prefix: bool = True


def encode_model(pieces: Iterable[Piece], byte_fallback: bool) -> bytes:
    """A serialised BPE model that changes nothing in the text but to write spaces as ``▁``."""
    parts = [protobuf.message(_PIECES, _encode_piece(piece)) for piece in pieces]
    trainer = protobuf.number(_ALGORITHM, _BPE) + protobuf.number(_BYTE_FALLBACK, int(byte_fallback))
    flags = ((_DUMMY_PREFIX, 0), (_REMOVE_SPACES, 0), (_ESCAPE, 1))
    normalizer = protobuf.message(_NAME, b"identity") + b"".join(protobuf.number(*flag) for flag in flags)
    return b"".join([*parts, protobuf.message(_TRAINER, trainer), protobuf.message(_NORMALIZER, normalizer)])


def parse_model(data: bytes) -> SentencePieceModel:
    """The model that ``data`` holds.

    Raises ValueError when the bytes are no ModelProto, or the model is not BPE, normalises text, removes spaces, or
    marks spaces at the end of words: GGUF cannot say so.
    """
    model = SentencePieceModel()
    # Protobuf leaves out a field that has its default value; these are the defaults of the .proto file.
    trainer: dict[int, object] = {_ALGORITHM: 1, _SUFFIX: 0}
    normalizer: dict[int, object] = {_CHARSMAP: b"", _DUMMY_PREFIX: 1, _REMOVE_SPACES: 1, _ESCAPE: 1}
    for number, value in protobuf.fields(data):
        if number == _PIECES and isinstance(value, bytes):
            model.pieces.append(_parse_piece(value, len(model.pieces)))
        elif number == _TRAINER and isinstance(value, bytes):
            trainer.update(protobuf.fields(value))
        elif number == _NORMALIZER and isinstance(value, bytes):
            normalizer.update(protobuf.fields(value))
    if not model.pieces:
        raise ValueError("no SentencePiece model: it has no pieces")
    if trainer[_ALGORITHM] != _BPE:
        raise ValueError(f"algorithm {trainer[_ALGORITHM]!r} (1 is unigram) is not supported; 2, BPE, is")
    if normalizer[_CHARSMAP] or normalizer[_REMOVE_SPACES] or not normalizer[_ESCAPE] or trainer[_SUFFIX]:
        raise ValueError(
            f"normalisation {normalizer.get(_NAME, b'')!a:.40} with a character map, remove_extra_whitespaces, "
            "unescaped spaces or treat_whitespace_as_suffix is not supported"
        )
    model.add_dummy_prefix = bool(normalizer[_DUMMY_PREFIX])
    return model


def without_prefix(data: bytes) -> bytes:
    """The serialised model ``data``, putting no space before the text.

    Of a message that is there twice, protobuf merges the fields, and the last value of each counts.
    """
    return data + protobuf.message(_NORMALIZER, protobuf.number(_DUMMY_PREFIX, 0))


def _encode_piece(piece: Piece) -> bytes:
    text = protobuf.message(_TEXT, piece.text.encode())
    return text + protobuf.float32(_SCORE, piece.score) + protobuf.number(_TYPE, piece.type)


def _parse_piece(data: bytes, token: int) -> Piece:
    values: dict[int, int | float | bytes] = {_TEXT: b"", _SCORE: 0.0, _TYPE: TokenType.NORMAL}
    values.update(protobuf.fields(data))
    text, score, kind = values[_TEXT], values[_SCORE], values[_TYPE]
    if not isinstance(text, bytes) or not isinstance(score, float) or not math.isfinite(score):
        raise ValueError(f"piece {token} is malformed")
    if kind not in TokenType.__members__.values():
        raise ValueError(f"piece {token} has the unknown type {kind!r}")
    try:
        return Piece(text.decode(), score, TokenType(int(kind)))
    except UnicodeDecodeError as error:
        raise ValueError(f"piece {token} is no UTF-8 text") from error
