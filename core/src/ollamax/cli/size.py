"""Sizes of files as Ollama prints them."""

from __future__ import annotations


def format_size(count: int) -> str:
    """``count`` bytes in powers of 1000: 12 B, 4.7 GB, 812 MB. From 10 of a unit on, what is behind the point goes."""
    for exponent, unit in ((12, "TB"), (9, "GB"), (6, "MB"), (3, "KB")):
        if count >= 10**exponent:
            value = count / 10**exponent
            return f"{value:.1f} {unit}" if value < 10 and value != int(value) else f"{int(value)} {unit}"
    return f"{count} B"
