"""Metadata of no file: it answers what an architecture asks for, and notes it."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ollamax.gguf import Metadata
from symbolic import Symbol, text_of

# Sizes that fit each other; the key's end decides. Any other key is 16.
_SIZES = {
    "vision.image_size": 64,
    "embedding_length": 1024,
    "feed_forward_length": 2048,
    "attention.head_count": 8,
    "block_count": 2,
    "max_num_tiles": 4,
    "num_channels": 3,
}
_OTHER = 16
_REQUIRED = object()


@dataclass
class Reading:
    """How a key is read: its type, every range and every default that was given (none where it is required)."""

    kind: str
    bounds: set[str] = field(default_factory=set)
    defaults: set[str] = field(default_factory=set)


class Recorder(Metadata):
    """Answers with plausible sizes, and with ``chosen`` for texts; ``known`` are the keys that the file seems to have.

    Numbers are symbols which are called as their keys are below ``architecture``. ``scale`` makes all sizes larger, so
    that two recordings tell a constant from what was computed.
    """

    def __init__(self, architecture: str, known: Container[str], chosen: Mapping[str, str], scale: int = 1) -> None:
        super().__init__({}, "a file")
        self.prefix, self.known, self.chosen, self.scale = f"{architecture}.", known, chosen, scale
        self.readings: dict[str, Reading] = {}

    def __contains__(self, key: str) -> bool:
        return key in self.known

    def string(self, key: str, default: Any = _REQUIRED) -> Any:
        """What was chosen, or the default."""
        self._note(key, "string", default)
        return self.chosen.get(key, "none" if default is _REQUIRED else default)

    def flag(self, key: str, default: Any = _REQUIRED) -> Any:
        """The default, or true."""
        self._note(key, "bool", default)
        return True if default is _REQUIRED else default

    def integer(
        self, key: str, default: Any = _REQUIRED, *, minimum: int | None = None, maximum: int | None = None
    ) -> Any:
        """A symbol with the default's value, or a plausible one."""
        self._note(key, "integer", default, minimum, maximum)
        if default is None:
            return None
        short = key.removeprefix(self.prefix)
        size = next((size for end, size in _SIZES.items() if key.endswith(end)), _OTHER) * self.scale
        return Symbol(size if default is _REQUIRED else int(default), short)

    def number(
        self, key: str, default: Any = _REQUIRED, *, minimum: float | None = None, maximum: float | None = None
    ) -> Any:
        """The default, or 1."""
        self._note(key, "number", default, minimum, maximum)
        return float(self.scale) if default is _REQUIRED else default

    def strings(self, key: str, default: Any = _REQUIRED) -> Any:
        """Texts."""
        self._note(key, "array of strings", default)
        return ["text"] * self.scale

    def flags(self, key: str, default: Any = _REQUIRED, *, length: int | None = None) -> Any:
        """All true; their number follows ``scale`` unless it is given."""
        self._note(key, "array of bools", default)
        return [True] * (length or self.scale)

    def integers(self, key: str, default: Any = _REQUIRED, *, length: int | None = None) -> Any:
        """All 1."""
        self._note(key, "array of integers", default)
        return np.ones(length or self.scale, np.int64)

    def numbers(self, key: str, default: Any = _REQUIRED, *, length: int | None = None) -> Any:
        """All 1."""
        self._note(key, "array of numbers", default)
        return np.ones(length or self.scale, np.float32)

    def _note(
        self, key: str, kind: str, default: object, least: float | None = None, most: float | None = None
    ) -> None:
        bounds = [f"{word} {bound:g}" for word, bound in (("at least", least), ("at most", most)) if bound is not None]
        reading = self.readings.setdefault(key, Reading(kind))
        reading.bounds.add(" and ".join(bounds))
        if default is not _REQUIRED:
            reading.defaults.add(text_of(default) if isinstance(default, int) else str(default))
