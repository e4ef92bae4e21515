"""The functions of Go templates: those of Ollama, and Go's formatting with bounds."""

from __future__ import annotations

import base64
import datetime
import json
import re
from collections.abc import Callable

from gotpl.runtime.gofmt import sprintf

from ollamax.errors import TemplateError

MAX_CHARACTERS = 16 * 2**20
_MAX_ARGUMENTS = 32
# A width or precision of four digits or more, or one taken from an argument.
_WIDE = re.compile(r"%[^A-Za-z%]*([0-9]{4}|\*)")


class GoFunctions:
    """Functions by name, with a common bound on the characters that they make between two calls of ``reset``.

    Without it a few lines of template that double a string fill the memory.
    """

    def __init__(self) -> None:
        self._made = 0
        self.table: dict[str, Callable[..., object]] = {
            "print": self.print,
            "println": self.println,
            "printf": self.printf,
            "json": lambda value: self._charged(_json(value)),
            # Ollama takes a format too and does not use it.
            "currentDate": lambda *_format: datetime.date.today().isoformat(),
            "yesterdayDate": lambda *_format: (datetime.date.today() - datetime.timedelta(days=1)).isoformat(),
            # Ollama's answer for a value that is no property of a tool; there are no tools here.
            "toTypeScriptType": lambda _value: "any",
        }

    def reset(self) -> None:
        """Start the count anew."""
        self._made = 0

    def print(self, *values: object) -> str:
        """Go's Sprint: a space between two operands of which neither is a string."""
        text = ""
        _check_count(values)
        for index, value in enumerate(values):
            apart = index > 0 and not isinstance(value, str) and not isinstance(values[index - 1], str)
            text += " " * apart + _text(value)
        return self._charged(text)

    def printf(self, form: str, *values: object) -> str:
        """Go's Sprintf, with widths and precisions below 1000."""
        _check_count(values)
        if _WIDE.search(form):
            raise TemplateError("widths from 1000 are not allowed")
        return self._charged(str(sprintf(form, *values)))

    def println(self, *values: object) -> str:
        """Go's Sprintln: a space between all operands, and a line break."""
        _check_count(values)
        return self._charged(" ".join(map(_text, values)) + "\n")

    def _charged(self, text: str) -> str:
        self._made += len(text)
        if self._made > MAX_CHARACTERS:
            raise TemplateError(f"its functions make more than {MAX_CHARACTERS} characters")
        return text


def _check_count(values: tuple[object, ...]) -> None:
    if len(values) > _MAX_ARGUMENTS:
        raise TemplateError(f"more than {_MAX_ARGUMENTS} arguments are not allowed")


def _text(value: object) -> str:
    return value if isinstance(value, str) else str(sprintf("%v", value))


def _json(value: object) -> str:
    """As Go's ``json.Marshal``: compact, keys sorted, and ``<``, ``>``, ``&`` escaped."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_odd_json)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _odd_json(value: object) -> str | None:
    """A picture is written in base64, and nil, which gotpl gives as a value of its own, is null."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else None
