"""``ollamax rm``: remove models from the store."""

from __future__ import annotations

import click

from ollamax.cli.bundled import bringer
from ollamax.errors import StoreError
from ollamax.store import Store


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="MODEL...")
def rm(names: tuple[str, ...]) -> None:
    """Remove models from the store.

    Files that another model uses stay. If one of the names is not found, nothing is removed.
    """
    store = Store()
    for name in names:
        if name not in store and (distribution := bringer(name)):
            raise StoreError(
                f"model '{name}' is bundled and cannot be removed alone; "
                f"it goes with its plugin: pip uninstall {distribution}"
            )
    for found in store.remove(*names):
        click.echo(f"deleted '{found}'")
