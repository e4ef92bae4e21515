"""config.json with checked access: a missing or senseless value is an error that names its key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ollamax.errors import ConversionError

_LARGEST_INT = 2**31 - 1
_SMALLEST_FLOAT, _LARGEST_FLOAT = 1.2e-38, 3.4e38  # what a GGUF float32 holds at full precision


class Config(Mapping[str, Any]):
    """The parsed config.json, or one object inside it, read-only.

    A key that is absent and one that is null are the same, as in transformers. ``place`` names the object in
    messages. Every reader raises ConversionError when the value is of the wrong kind, or missing without a
    default.
    """

    def __init__(self, values: Mapping[str, Any], place: str = "config.json") -> None:
        self._values, self._place = values, place

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def size(self, key: str, default: int | None = None, most: int = _LARGEST_INT, least: int = 1) -> int:
        """A whole number from ``least`` to ``most``."""
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self._wrong(key, f"a whole number from {least} to {most}")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number above zero that fits float32."""
        value = self._value(key, default)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not _SMALLEST_FLOAT <= value <= _LARGEST_FLOAT:
            raise self._wrong(key, "a finite number above 0")
        return float(value)

    def flag(self, key: str, default: bool | None = None) -> bool:
        """True or false."""
        value = self._value(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """A string."""
        value = self._value(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, "a string")
        return value

    def section(self, key: str) -> Config:
        """The object under ``key``; empty when there is none."""
        value = self._value(key, {})
        if not isinstance(value, Mapping):
            raise self._wrong(key, "an object")
        return Config(value, f"{self._place}: {key}")

    def _value(self, key: str, default: Any) -> Any:
        value = self._values.get(key)
        if value is None:
            value = default
        if value is None:
            raise ConversionError(f"{self._place}: {key} is missing")
        return value

    def _wrong(self, key: str, expected: str) -> ConversionError:
        shown = repr(self._values.get(key))[:60]
        return ConversionError(f"{self._place}: {key} is {shown}; expected {expected}")
