"""``ollamax cp``: give a model a second name."""

from __future__ import annotations

import click

from ollamax.cli.bundled import bringer
from ollamax.errors import StoreError
from ollamax.store import Store


@click.command()
@click.argument("source")
@click.argument("destination")
def cp(source: str, destination: str) -> None:
    """Copy the model SOURCE to the name DESTINATION.

    A model that had that name is replaced. Both share the same files, so a copy takes no room.
    """
    store = Store()
    if source not in store and (distribution := bringer(source)):
        raise StoreError(
            f"model '{source}' is bundled with {distribution} and not in the store; "
            f"make a model from it with a Modelfile that says FROM {source}"
        )
    store.copy(source, destination)
    click.echo(f"copied '{source}' to '{destination}'")
