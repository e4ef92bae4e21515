"""The table of options as flags of a command: ``--num-predict 100``, ``--stop TEXT``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from ollamax.engine.options import TABLE, parse

Command = TypeVar("Command", bound=Callable[..., Any])

_METAVAR = {"int": "INT", "float": "FLOAT", "texts": "TEXT"}


def option_flags(command: Command) -> Command:
    """Give ``command`` a flag for every option; ``given_options`` collects the values from its arguments."""
    # Decorators apply from the last to the first, and help lists flags in the order of the table.
    for option in reversed(list(TABLE.values())):
        default = f"  [default: {option.default}]" if option.default != () else ""
        command = click.option(
            *option.flags,
            option.name,
            type=str,
            metavar=_METAVAR[option.kind],
            multiple=option.kind == "texts",
            help=option.doc + default,
        )(command)
    return command


def given_options(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The options that the user gave, checked and in their own types; raises OptionError."""
    given = {name: arguments[name] for name in TABLE if arguments[name] not in (None, ())}
    return parse({name: list(value) if isinstance(value, tuple) else value for name, value in given.items()})
