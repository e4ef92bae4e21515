"""Checks what a hook returned: a list of the right classes, with names that can be looked up."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ollamax.plugins.bundled import BundledModel
from ollamax.plugins.isolation import PluginFault

HELP_WIDTH = 60
"""Characters of a command's line in ``ollamax --help``."""

_COMMAND = re.compile(r"[a-zA-Z0-9][\w.-]*")


@dataclass(frozen=True, slots=True)
class Provided:
    """One thing that a plugin provides, under every name that it answers to; the first is the main one."""

    kind: str
    names: tuple[str, ...]
    item: Any


def architectures(hook: str, item: object) -> Provided:
    """An Architecture class by its name and aliases."""
    from ollamax.arch.base import Architecture

    _check_class(hook, item, Architecture)
    return Provided("architecture", (_name(item, "name"), *_names(item, "aliases", least=0)), item)


def converters(hook: str, item: object) -> Provided:
    """A Converter class by the checkpoint classes that it reads."""
    from ollamax.convert.base import Converter

    _check_class(hook, item, Converter)
    _name(item, "architecture")
    return Provided("checkpoint", _names(item, "checkpoints"), item)


def tokenizers(hook: str, item: object) -> Provided:
    """A Tokenizer class by its models, or a PreTokenizer class by its names."""
    from ollamax.tokenizer.base import PreTokenizer, Tokenizer

    _check_class(hook, item, Tokenizer, PreTokenizer)
    if issubclass(item, Tokenizer):  # type: ignore[arg-type]
        return Provided("tokenizer", _names(item, "models"), item)
    return Provided("pre-tokenizer", _names(item, "names"), item)


def backends(hook: str, item: object) -> Provided:
    """A Backend class by its name."""
    from ollamax.backend.base import Backend

    _check_class(hook, item, Backend)
    name = _name(item, "name")
    if name == "auto":
        raise PluginFault(f"{_title(item)}.name is 'auto', which stands for the best backend; choose another")
    return Provided("backend", (name,), item)


def quantizers(hook: str, item: object) -> Provided:
    """A Quantizer class by its name."""
    from ollamax.convert.quantizer import Quantizer
    from ollamax.types import DType

    _check_class(hook, item, Quantizer)
    dtypes: object = getattr(item, "dtypes", None)
    if not (isinstance(dtypes, frozenset) and dtypes and all(isinstance(dtype, DType) for dtype in dtypes)):
        raise PluginFault(f"{_title(item)}.dtypes is {dtypes!r:.60} where a frozenset of DType is expected")
    return Provided("quantizer", (_name(item, "name"),), item)


def models(hook: str, item: object) -> Provided:
    """A BundledModel by its name."""
    if not isinstance(item, BundledModel):
        raise PluginFault(f"{hook} returned {_title(item)} in its list where a BundledModel is expected")
    return Provided("model", (_name(item, "name"),), item)


LIST_HOOKS: dict[str, Callable[[str, object], Provided]] = {
    "ollamax_architectures": architectures,
    "ollamax_converters": converters,
    "ollamax_tokenizers": tokenizers,
    "ollamax_backends": backends,
    "ollamax_quantizers": quantizers,
    "ollamax_models": models,
}
"""The hooks that return lists, each with the check of one element."""


def check(hook: str, result: object) -> list[Provided]:
    """The checked elements of what ``hook`` returned; raises PluginFault."""
    if not isinstance(result, list):
        raise PluginFault(f"{hook} returned {_title(result)} where a list is expected")
    return [LIST_HOOKS[hook](hook, item) for item in result]


def check_command(name: object, command: object) -> Provided:
    """A command that ``ollamax_commands`` added to its group under ``name``; raises PluginFault."""
    import click

    if not (isinstance(name, str) and _COMMAND.fullmatch(name)):
        raise PluginFault(f"ollamax_commands added {name!r:.60}, which is no name of a command")
    if not isinstance(command, click.Command):
        raise PluginFault(f"ollamax_commands added {name!r:.60}, which is no click.Command")
    # Its class may be the plugin's own; --help asks the same, and must not be the first to ask.
    if not (isinstance(command.get_short_help_str(HELP_WIDTH), str) and isinstance(command.hidden, bool)):
        raise PluginFault(f"the help of the command {name!r:.60} is no text")
    return Provided("command", (name,), command)


def _check_class(hook: str, item: object, *bases: type) -> None:
    expected = " or ".join(base.__name__ for base in bases)
    if not (isinstance(item, type) and issubclass(item, bases)):
        raise PluginFault(f"{hook} returned {_title(item)} in its list where a subclass of {expected} is expected")
    if item in bases:
        raise PluginFault(f"{hook} returned {expected} itself; a subclass is expected")
    if missing := sorted(getattr(item, "__abstractmethods__", ())):
        raise PluginFault(f"{hook} returned {_title(item)}, which lacks {', '.join(missing)}")


def _name(item: object, attribute: str) -> str:
    name = getattr(item, attribute, None)
    if not _is_name(name):
        raise PluginFault(f"{_title(item)}.{attribute} is {name!r:.60} where a printable, non-empty text is expected")
    return str(name)


def _names(item: object, attribute: str, least: int = 1) -> tuple[str, ...]:
    names = getattr(item, attribute, None)
    if not (isinstance(names, tuple) and len(names) >= least and all(map(_is_name, names))):
        raise PluginFault(f"{_title(item)}.{attribute} is {names!r:.60} where a tuple of names is expected")
    return names


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and value.strip() == value != ""


def _title(item: object) -> str:
    """A class by its name, anything else by its type: a plugin's own repr is not trusted."""
    return item.__name__ if isinstance(item, type) else f"an object of type {type(item).__name__}"
