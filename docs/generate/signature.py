"""Signatures as they stand in the source, with the annotations' own words."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

_WIDTH = 100


def signature(name: str, function: Callable[..., Any]) -> str:
    """``name(...) -> ...``, over several lines if it is long."""
    found = inspect.signature(function)
    result = "" if found.return_annotation is inspect.Signature.empty else f" -> {annotation(found.return_annotation)}"
    shown = _shown(found.parameters.values())
    plain = f"{name}({', '.join(shown)}){result}"
    if len(plain) <= _WIDTH:
        return plain
    return f"{name}(\n" + "".join(f"    {item},\n" for item in shown) + f"){result}"


def annotation(value: object) -> str:
    """An annotation as written; modules of ollamax keep theirs as text."""
    return value if isinstance(value, str) else inspect.formatannotation(value)


def default(value: object) -> str:
    """A default that reads the same on every machine."""
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    text = repr(value)
    return "..." if text.startswith("<") else text


def _shown(parameters: Iterable[inspect.Parameter]) -> list[str]:
    shown, starred = [], False
    for parameter in parameters:
        kind = parameter.kind
        starred = starred or kind is inspect.Parameter.VAR_POSITIONAL
        if kind is inspect.Parameter.KEYWORD_ONLY and not starred:
            shown.append("*")
            starred = True
        shown.append(_parameter(parameter))
    return shown


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    text = stars + parameter.name
    if parameter.annotation is not inspect.Parameter.empty:
        text += f": {annotation(parameter.annotation)}"
    if parameter.default is not inspect.Parameter.empty:
        equals = " = " if parameter.annotation is not inspect.Parameter.empty else "="
        text += equals + default(parameter.default)
    return text
