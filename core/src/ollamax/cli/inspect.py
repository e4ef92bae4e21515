"""``ollamax inspect``: what a file or checkpoint holds, and which plugins would run it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from ollamax.cli.console import print_json, print_table
from ollamax.cli.printer import Printer
from ollamax.errors import one_line

if TYPE_CHECKING:
    from ollamax.inspect.model_file import ModelFile

_SHOWN_VALUES = 8


@click.command()
@click.argument("path")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(path: str, as_json: bool) -> None:
    """Show what a .gguf file or a Hugging Face directory holds, and which installed plugins would run it.

    PATH may be the name of a model too. What is missing to run it is listed last; what can be read is shown all the
    same, also where no plugin takes the model.
    """
    from ollamax.engine.resolve import resolve
    from ollamax.inspect.model_file import inspect_model
    from ollamax.plugins import get_manager

    found = inspect_model(resolve(path), get_manager())
    if as_json:
        print_json(asdict(found) | {"path": str(found.path), "runs": not found.missing})
        return
    _print(_heading(found))
    headers = ["TENSOR", "COUNT", "SHAPE", "TYPE"] + ["IN GGUF"] * any(group.becomes for group in found.tensors)
    rows = [
        [one_line(group.pattern), str(group.count), " x ".join(map(str, group.shape)), group.dtype, group.becomes]
        for group in found.tensors
    ]
    print_table(headers, [row[: len(headers)] for row in rows])
    _print(_rest(found))


def _print(lines: Iterable[str]) -> None:
    printer = Printer(sys.stdout, wrap=False)
    printer.write("\n".join(lines))
    printer.finish()


def _heading(found: ModelFile) -> Iterator[str]:
    facts = {"format": found.format, "checkpoint": found.checkpoint, "architecture": found.architecture}
    yield from _section("Model", facts | {"parameters": f"{found.parameters:,}"})
    yield ""
    yield from _section("Hyper-parameters", found.hyper_parameters)
    yield "\n"


def _rest(found: ModelFile) -> Iterator[str]:
    yield ""
    yield from _section("Tokenizer", found.tokenizer)
    for name, text in found.templates.items():
        yield f"\nChat template ({name})"
        yield from (f"  {line}" for line in text.splitlines())
    if not found.templates:
        yield "\nChat template\n  none, text is continued as it is"
    yield ""
    yield from _section("Plugins", {kind: owner or "nobody" for kind, owner in found.plugins.items()})
    yield f"\nMissing\n  {'nothing: it can be run' if not found.missing else ''}".rstrip()
    yield from (f"  {one_line(problem)}" for problem in found.missing)


def _section(title: str, facts: dict[str, Any]) -> Iterator[str]:
    known = {label: value for label, value in facts.items() if value is not None}
    width = max(map(len, known), default=0) + 2
    yield title
    yield from (f"  {one_line(label):<{width}}{_shown(value)}" for label, value in known.items())


def _shown(value: Any) -> str:
    if isinstance(value, list) and len(value) > _SHOWN_VALUES:
        return f"{one_line(str(value[:_SHOWN_VALUES]))[:-1]}, ...] ({len(value)} values)"
    return one_line(str(value))
