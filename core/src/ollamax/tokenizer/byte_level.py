"""GPT-2's spelling of bytes as printable characters."""

from __future__ import annotations


def _alphabet() -> dict[str, int]:
    """Printable Latin-1 stands for itself, every other byte for a character from U+0100 on (GPT-2's encoder.py)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = sorted(set(range(256)) - set(printable))
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


BYTE_OF: dict[str, int] = _alphabet()


def spelled_bytes(text: str) -> bytes:
    """The bytes that ``text`` spells; a text with any other character stands for itself, in UTF-8."""
    try:
        return bytes([BYTE_OF[character] for character in text])
    except KeyError:
        return text.encode()
