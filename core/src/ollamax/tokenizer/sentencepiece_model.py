"""SentencePiece's ModelProto (sentencepiece_model.proto), written and read without a protobuf library.

Only the fields that a tokenizer needs: pieces with score and type, and what decides how text is cut.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from ollamax.tokenizer.vocabulary import TokenType

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# Field numbers of ModelProto and of the messages in it.
_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3
_PIECE_TEXT, _PIECE_SCORE, _PIECE_TYPE = 1, 2, 3
_MODEL_TYPE, _BYTE_FALLBACK = 3, 35
_NAME, _CHARSMAP, _DUMMY_PREFIX, _REMOVE_SPACES, _ESCAPE = 1, 2, 3, 4, 5
MODEL_BPE = 2


SPACE = "▁"  # U+2581, the spelling of a space


class Piece(NamedTuple):
    """One entry of the vocabulary; the types are numbered as GGUF's."""

    text: str
    score: float
    type: TokenType


def encode_model(pieces: Iterable[Piece], byte_fallback: bool) -> bytes:
    """A serialised BPE model that changes nothing in the text but to write spaces as ``▁``."""
    parts = [_message(_PIECES, _encode_piece(piece)) for piece in pieces]
    parts.append(_message(_TRAINER, _number(_MODEL_TYPE, MODEL_BPE) + _number(_BYTE_FALLBACK, int(byte_fallback))))
    plain = _message(_NAME, b"identity") + _number(_DUMMY_PREFIX, 0) + _number(_REMOVE_SPACES, 0)
    parts.append(_message(_NORMALIZER, plain + _number(_ESCAPE, 1)))
    return b"".join(parts)


def _encode_piece(piece: Piece) -> bytes:
    text = piece.text.encode()
    score = struct.pack("<Bf", _PIECE_SCORE << 3 | _FIXED32, piece.score)
    return _message(_PIECE_TEXT, text) + score + _number(_PIECE_TYPE, piece.type)


def _message(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(data)) + data


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
