"""Byte tokens, spelled ``<0x0A>``, which stand for what a vocabulary has no piece for."""

from __future__ import annotations

import re

_SPELLING = re.compile(r"<0x([0-9A-Fa-f]{2})>", re.ASCII)

# The spelling that SentencePiece looks for, by byte.
BYTE_PIECES = tuple(f"<0x{byte:02X}>" for byte in range(256))


def byte_of_piece(text: str) -> bytes:
    """The byte that ``text`` spells; empty if it spells none."""
    match = _SPELLING.fullmatch(text)
    return bytes.fromhex(match.group(1)) if match else b""
