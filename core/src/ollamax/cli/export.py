"""``ollamax export``: write a model for another program."""

from __future__ import annotations

from pathlib import Path

import click

from ollamax.cli.progress import progress


@click.command()
@click.argument("model")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--format", "kind", metavar="NAME", required=True, help="Backend whose files are written, such as onnx.")
def export(model: str, directory: Path, kind: str) -> None:
    """Write MODEL's graphs and weights to the new directory DIR, for programs other than ollamax.

    The package of the format says which files there are, and what goes in and out of them. Caches are float32, whatever
    OLLAMAX_KV_CACHE_TYPE says.
    """
    from ollamax.engine.export import export as export_model

    with progress(f"exporting {model}") as shown:
        export_model(model, kind, directory, progress=shown.reach)
    click.echo(f"exported {model} to {directory}")
