"""One option: its type, its range, and how a value is read, whether it comes as text or as a Python value."""

from __future__ import annotations

import math
import numbers
import re
from dataclasses import dataclass
from typing import Any, Literal

from ollamax.errors import OptionError

Kind = Literal["int", "float", "texts"]
Scope = Literal["load", "generate"]

_INT = re.compile(r"[+-]?[0-9]{1,20}")
_FLOAT = re.compile(r"[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,4})?")
_TYPE = {
    "int": "a whole number",
    "float": "a number",
    "texts": "Unicode text that is not empty, or a list of such texts",
}


@dataclass(frozen=True, slots=True)
class Option:
    """A row of the table: ``above`` is an exclusive lower bound, ``minimum`` and ``maximum`` are inclusive.

    ``scope`` says whether the value is fixed when a model is loaded or may change with every generation.
    """

    name: str
    kind: Kind
    default: int | float | tuple[str, ...]
    doc: str
    minimum: float | None = None
    above: float | None = None
    maximum: float | None = None
    aliases: tuple[str, ...] = ()
    scope: Scope = "generate"

    @property
    def flags(self) -> tuple[str, ...]:
        """The command line's spellings, such as ``--num-predict``; those of aliases come last."""
        return tuple("--" + name.replace("_", "-") for name in (self.name, *self.aliases))

    @property
    def expected(self) -> str:
        """What a value must be, for messages: ``a number above 0 and at most 1``."""
        bounds = [
            f"{word} {bound}"
            for word, bound in (("above", self.above), ("at least", self.minimum), ("at most", self.maximum))
            if bound is not None
        ]
        return " ".join(filter(None, [_TYPE[self.kind], " and ".join(bounds)]))

    def parse(self, value: Any) -> int | float | tuple[str, ...]:
        """``value`` (a number, a string or a list of strings) in the option's type; raises OptionError."""
        parsed = _READERS[self.kind](value)
        if parsed is None or not (isinstance(parsed, tuple) or self._within(parsed)):
            shown = repr(value)
            shown = shown if len(shown) <= 40 else shown[:40] + "..."
            raise OptionError(f"option {self.name}: {shown} is not valid; expected {self.expected}")
        return parsed

    def _within(self, value: float) -> bool:
        return (
            (isinstance(value, int) or math.isfinite(value))
            and (self.minimum is None or value >= self.minimum)
            and (self.above is None or value > self.above)
            and (self.maximum is None or value <= self.maximum)
        )


def _read_int(value: Any) -> int | None:
    if isinstance(value, str):
        return int(value) if _INT.fullmatch(value) else None
    if isinstance(value, bool):  # a number to Python, but True tokens are a mistake
        return None
    return int(value) if isinstance(value, numbers.Integral) else None


def _read_float(value: Any) -> float | None:
    if isinstance(value, str):
        return float(value) if _FLOAT.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    try:
        return float(value)
    except OverflowError:  # an int beyond the range of float
        return None


def _read_texts(value: Any) -> tuple[str, ...] | None:
    if isinstance(value, str):
        value = (value,)
    if isinstance(value, list | tuple) and all(isinstance(text, str) and _is_text(text) for text in value):
        return tuple(value)
    return None


def _is_text(text: str) -> bool:
    """Whether it has a character, and nothing else: Python makes lone surrogates of arguments that are no UTF-8."""
    return bool(text) and not any("\ud800" <= character <= "\udfff" for character in text)


_READERS = {"int": _read_int, "float": _read_float, "texts": _read_texts}
