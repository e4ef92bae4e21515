"""What chat templates may use: methods, filters and functions."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any, NoReturn

from jinja2.exceptions import SecurityError
from jinja2.exceptions import TemplateError as JinjaError
from jinja2.runtime import LoopContext
from jinja2.sandbox import safe_range
from jinja2.utils import Namespace

# Methods by the type they belong to. Left out are those that make long text out of short (ljust, zfill, int.to_bytes).
METHODS: dict[type, frozenset[str]] = {
    str: frozenset(
        {
            "capitalize",
            "casefold",
            "count",
            "endswith",
            "find",
            "index",
            "isalnum",
            "isalpha",
            "isascii",
            "isdecimal",
            "isdigit",
            "islower",
            "isnumeric",
            "isspace",
            "istitle",
            "isupper",
            "join",
            "lower",
            "lstrip",
            "partition",
            "removeprefix",
            "removesuffix",
            "replace",
            "rfind",
            "rindex",
            "rpartition",
            "rsplit",
            "rstrip",
            "split",
            "splitlines",
            "startswith",
            "strip",
            "swapcase",
            "title",
            "upper",
        }
    ),
    dict: frozenset({"copy", "get", "items", "keys", "values"}),
    list: frozenset({"copy", "count", "index"}),
    tuple: frozenset({"count", "index"}),
    LoopContext: frozenset({"changed", "cycle"}),
}

# jinja2's filters that are taken over as they are. TEXT_FILTERS first turn their value into text.
VALUE_FILTERS = (
    "abs",
    "count",
    "d",
    "default",
    "dictsort",
    "first",
    "float",
    "int",
    "items",
    "last",
    "length",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "reverse",
    "select",
    "selectattr",
    "sort",
    "unique",
)
TEXT_FILTERS = ("capitalize", "e", "escape", "lower", "safe", "string", "title", "trim", "upper")


class ChatNamespace(Namespace):
    """``namespace()``: attributes that start with an underscore are refused, since Python gives them meaning."""

    def __init__(*args: Any, **kwargs: Any) -> None:  # as jinja2's, so that ``namespace(self=...)`` works
        attributes = dict(*args[1:], **kwargs)
        for name in attributes:
            _check_attribute(name)
        Namespace.__init__(args[0], attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_attribute(name)
        super().__setitem__(name, value)

    def __repr__(self) -> str:
        return "<namespace>"  # jinja2's would write out its values, past the meter


def globals_table() -> dict[str, Callable[..., Any]]:
    """The functions of chat templates: jinja2's harmless ones and those that transformers adds."""
    return {
        "dict": _make_dict,
        "namespace": ChatNamespace,
        "raise_exception": _raise_exception,
        "range": safe_range,
        "strftime_now": _strftime_now,
    }


def _check_attribute(name: object) -> None:
    if not isinstance(name, str) or name.startswith("_"):
        raise SecurityError(f"a namespace cannot have the attribute {str(name)[:40]!r}")


def _make_dict(*pairs: Any, **values: Any) -> dict[Any, Any]:
    return dict(*pairs, **values)


def _raise_exception(message: object) -> NoReturn:
    raise JinjaError(str(message)[:500])


def _strftime_now(form: str) -> str:
    return datetime.datetime.now().strftime(form)
