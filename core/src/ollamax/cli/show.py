"""``ollamax show``: what is known about a model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ollamax.cli.console import print_json
from ollamax.cli.printer import Printer
from ollamax.errors import UsageError

if TYPE_CHECKING:
    from ollamax.cli.description import Description

_PARTS = ("modelfile", "parameters", "template", "system", "license")
_HEAD_LINES = 2


@click.command()
@click.argument("model")
@click.option("--modelfile", "parts", flag_value="modelfile", multiple=True, help="Show the Modelfile.")
@click.option("--parameters", "parts", flag_value="parameters", multiple=True, help="Show the parameters.")
@click.option("--template", "parts", flag_value="template", multiple=True, help="Show the prompt template.")
@click.option("--system", "parts", flag_value="system", multiple=True, help="Show the system message.")
@click.option("--license", "parts", flag_value="license", multiple=True, help="Show the licences.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(model: str, parts: tuple[str, ...], as_json: bool) -> None:
    """Show what is known about MODEL: a name in the store or of a bundled model, a .gguf file, or a directory.

    A flag shows one part alone, for other programs; what the model lacks is shown as nothing.
    """
    if len(parts) + as_json > 1:
        raise UsageError(f"only one of --{', --'.join(_PARTS)} and --json can be given")
    # Files are opened through the engine, which takes longer to import than --help may.
    from ollamax.cli.description import describe
    from ollamax.engine.resolve import resolve

    description = describe(resolve(model))
    if as_json:
        print_json(description.document())
        return
    # What a file says may hold control characters, which a printer keeps from the terminal.
    printer = Printer(sys.stdout, wrap=False)
    text = _part(description, parts[0]) if parts else "\n\n".join(_overview(description))
    if text:
        printer.write(text)
        printer.finish()


def _part(description: Description, part: str) -> str:
    modelfile = description.model.modelfile
    if part == "modelfile":
        name = description.model.name
        return f"# To build a new model on this one, replace the FROM line with:\n# FROM {name}\n\n{modelfile}"
    if part == "parameters":
        return "\n".join(f"{name:<30} {value}" for name, value in description.parameters)
    if part == "template":
        return description.template
    return "\n\n".join(modelfile.licenses) if part == "license" else modelfile.system or ""


def _overview(description: Description) -> Iterator[str]:
    """The sections that a person reads, those without content left out."""
    modelfile = description.model.modelfile
    yield _section("Model", [f"{label:<20}{value}" for label, value in description.details.items()])
    yield _section("Template", [f"{'kind':<20}{description.template_kind}"])
    if description.parameters:
        yield _section("Parameters", [f"{name:<20}{value}" for name, value in description.parameters])
    if modelfile.system:
        yield _section("System", _head(modelfile.system))
    if modelfile.messages:
        yield _section("Messages", [f"{len(modelfile.messages)} that every chat begins with"])
    for text in modelfile.licenses:
        yield _section("License", _head(text))


def _section(title: str, lines: list[str]) -> str:
    return "\n".join([f"  {title}", *(f"    {line}" for line in lines)])


def _head(text: str) -> list[str]:
    """The first lines of a long text that are not empty."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[:_HEAD_LINES] + ["..."] * (len(lines) > _HEAD_LINES)
