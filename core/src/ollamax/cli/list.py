"""``ollamax list``: the models in the store and those that plugins bring."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from ollamax.cli.age import format_age
from ollamax.cli.console import print_json, print_table
from ollamax.cli.size import format_size
from ollamax.errors import OllamaxError, one_line
from ollamax.plugins import BundledModel, get_registry
from ollamax.store import Store, StoredModel


@dataclass(frozen=True, slots=True)
class _Row:
    cells: tuple[str, str, str, str]
    document: dict[str, Any]


@click.command("list")
@click.argument("prefix", default="")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_models(prefix: str, as_json: bool) -> None:
    """List models: those in the store, the one changed last first, and those that plugins bring.

    With PREFIX, only those whose name begins with it. A model that cannot be read is reported on stderr.
    """
    store = Store()
    rows = [row for row in [*_stored_rows(store), *_bundled_rows(store)] if _begins(row, prefix)]
    for error in store.damage():
        _warn(error)
    if as_json:
        print_json({"models": [row.document for row in rows]})
    else:
        print_table(("NAME", "ID", "SIZE", "MODIFIED"), [row.cells for row in rows])


def _begins(row: _Row, prefix: str) -> bool:
    return row.cells[0].lower().startswith(prefix.lower())


def _stored_rows(store: Store) -> Iterator[_Row]:
    now = datetime.datetime.now(datetime.UTC)
    for model in store.list():
        try:
            details = _details(model)
        except OllamaxError as error:
            _warn(error)
            details = {}
        yield _Row(
            (str(model.name), model.id, format_size(model.size), format_age(model.modified, now)),
            {
                "name": str(model.name),
                "modified_at": model.modified.isoformat(),
                "size": model.size,
                "digest": model.digest,
                "bundled": False,
                "details": details,
            },
        )


def _details(model: StoredModel) -> dict[str, Any]:
    """What Ollama's API calls details, from the config blob."""
    config = model.config
    return {
        "format": config.get("model_format"),
        "family": config.get("model_family"),
        "families": config.get("model_families"),
        "parameter_size": config.get("model_type"),
        "quantization_level": config.get("file_type"),
    }


def _bundled_rows(store: Store) -> Iterator[_Row]:
    for model in sorted(get_registry().models.values(), key=lambda model: model.name):
        if model.name in store:
            continue  # the name means the store's
        size = _size(model)
        yield _Row(
            (model.name, "-", "-" if size is None else format_size(size), "bundled"),
            {"name": model.name, "size": size, "bundled": True, "description": model.description},
        )


def _size(model: BundledModel) -> int | None:
    try:
        return model.file().stat().st_size
    except OllamaxError as error:
        _warn(error)
        return None


def _warn(error: OllamaxError) -> None:
    click.echo(f"Warning: {one_line(str(error))}", err=True)
