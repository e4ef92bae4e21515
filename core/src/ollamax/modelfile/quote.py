"""Quoting of Modelfile values.

Ollama's grammar has no escapes. A value is either the rest of its line, or it opens with ``"`` or triple quotes and
goes on until a line ends with the same quotes (blanks after them do not count); quotes inside a line are text.
"""

from __future__ import annotations

TRIPLE = '"""'


def opening_quote(value: str) -> str:
    """The quotes with which ``value`` opens, or an empty string for a bare value."""
    if value.startswith(TRIPLE):
        return TRIPLE
    return '"' if value.startswith('"') else ""


def closes(text: str, quote: str, *, first: bool) -> bool:
    """Whether the line ``text`` ends a value opened by ``quote``; ``first`` marks the line that opens it."""
    text = text.rstrip()
    return text.endswith(quote) and (not first or len(text) >= 2 * len(quote))


def quoted(value: str) -> str | None:
    """``value`` as written in a Modelfile, or None where the grammar has no spelling for it.

    There is none for a text of several lines of which one, other than the last, ends with quotes of both kinds.
    """
    if value and "\n" not in value and value == value.strip() and not value.startswith('"'):
        return value
    return next((form for form in (f'"{value}"', f"{TRIPLE}{value}{TRIPLE}") if _holds(form, value)), None)


def _holds(form: str, value: str) -> bool:
    """Whether reading ``form`` gives ``value`` back: its quotes close at the end of its last line, not before."""
    quote = opening_quote(form)
    if form[len(quote) : -len(quote)] != value:
        return False
    *earlier, _last = form.split("\n")
    return not any(closes(line, quote, first=index == 0) for index, line in enumerate(earlier))
