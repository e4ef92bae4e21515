"""What a file that is not GGUF looks like, judged by its first bytes."""

from __future__ import annotations

MAGIC = b"GGUF"

_SIGNATURES = (
    (b"PK\3\4", "a zip archive, perhaps a PyTorch checkpoint"),
    (b"\x1f\x8b", "a gzip file"),
    (b"version https://git-lfs", "a Git LFS pointer; fetch the file itself with `git lfs pull`"),
    # The magics of llama.cpp's formats before GGUF, little-endian: ggml, ggmf, ggjt, ggla.
    (b"lmgg", "a llama.cpp file from before GGUF"),
    (b"fmgg", "a llama.cpp file from before GGUF"),
    (b"tjgg", "a llama.cpp file from before GGUF"),
    (b"algg", "a llama.cpp adapter from before GGUF"),
)


def describe(head: bytes) -> str:
    """The kind of file that begins with ``head`` (64 bytes suffice), or those bytes if it is unknown."""
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    if head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return "a Python pickle, perhaps a PyTorch checkpoint"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32:
        return "a safetensors file; give its directory to `ollamax create` to convert it"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<?xml")):
        return "a web page; the download may have failed"
    if text.startswith((b"{", b"[")):
        return "a JSON file"
    return f"a file that begins with {head[:4]!r}"
