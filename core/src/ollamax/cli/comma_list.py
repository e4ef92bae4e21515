"""Values of flags that are lists, such as ``--depth 0,4096``."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import click

_DIGITS = 9
"""Of the largest number in a list."""


class Names(click.ParamType[tuple[str, ...]]):
    """Names between commas, as a tuple without repetition; each is one of ``choices`` if there are any."""

    name = "names"

    def __init__(self, choices: Collection[str] = ()) -> None:
        self._choices = choices

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Read ``value``, a text or what was read before."""
        if isinstance(value, tuple):
            return value
        names = tuple(dict.fromkeys(name.strip() for name in str(value).split(",")))
        for name in names:
            if not name or (self._choices and name not in self._choices):
                expected = f"one of {', '.join(self._choices)}" if self._choices else "a name"
                self.fail(f"{name!r:.60} is not {expected}.", param, ctx)
        return names


class Numbers(click.ParamType[tuple[int, ...]]):
    """Whole numbers between commas, each from ``minimum`` to 999,999,999, as a tuple without repetition."""

    name = "numbers"

    def __init__(self, minimum: int) -> None:
        self._minimum = minimum

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Read ``value``, a text or what was read before."""
        if isinstance(value, tuple):
            return value
        texts = [text.strip() for text in str(value).split(",")]
        for text in texts:
            if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS and int(text) >= self._minimum):
                limits = f"{self._minimum} to {10**_DIGITS - 1:,}"
                self.fail(f"{text!r:.60} is not a whole number from {limits}.", param, ctx)
        return tuple(dict.fromkeys(map(int, texts)))
