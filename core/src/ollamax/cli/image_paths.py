"""Paths of pictures that are written in a prompt, as ``ollama run`` finds them."""

from __future__ import annotations

import re
from pathlib import Path

# A path begins with ./, ../, ~/ or / (or a drive), may hold spaces, and ends like a picture's name.
_PATH = re.compile(r"(?:[a-zA-Z]:)?(?:~|\.{1,2})?[/\\][\S ]{1,1024}?\.(?i:jpg|jpeg|png|webp)\b")
_ESCAPED = re.compile(r"\\([ ()\[\]{}$&;'\\*?~])")
_LONGEST_PROMPT = 1 << 16
"""A longer prompt is a document; its paths are not meant, and looking for them takes long."""


def take_image_paths(text: str) -> tuple[str, list[str]]:
    """The prompt without the paths of pictures that exist, and those paths; others stay in the text."""
    found: list[str] = []
    if len(text) > _LONGEST_PROMPT:
        return text, found
    match = _PATH.search(text)
    while match:
        path = _existing(match[0])
        begin, end = match.span()
        if path is not None:
            found.append(path)
            quoted = begin > 0 and text[begin - 1] in "'\"" and text[begin - 1] == text[end : end + 1]
            text = text[: begin - quoted] + text[end + quoted :]
            match = _PATH.search(text, begin - quoted)
        else:
            match = _PATH.search(text, begin + 1)
    return (text.strip() if found else text), found


def _existing(written: str) -> str | None:
    """The path as the file system knows it: as written, or without the backslashes that a shell wants."""
    for name in (written, _ESCAPED.sub(r"\1", written)):
        try:
            path = Path(name).expanduser()
            if path.is_file():
                return str(path)
        except (OSError, ValueError, RuntimeError):
            continue  # too long, or a home that does not exist
    return None
