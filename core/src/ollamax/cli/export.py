"""``ollamax export``: write a model for another program."""

from __future__ import annotations

from pathlib import Path

import click

from ollamax.cli.progress import progress


@click.command()
@click.argument("model")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--format", "kind", metavar="NAME", required=True, help="Backend whose files are written, such as onnx.")
@click.option("--num-ctx", metavar="N", type=int, help="Tokens that a cache of fixed size holds.")
def export(model: str, directory: Path, kind: str, num_ctx: int | None) -> None:
    """Write MODEL's graphs and weights to the new directory DIR, for programs other than ollamax.

    The package of the format says which files there are, and what goes in and out of them.
    """
    from ollamax.engine.export import export as export_model

    options = {} if num_ctx is None else {"num_ctx": num_ctx}
    with progress(f"exporting {model}") as shown:
        export_model(model, kind, directory, progress=shown.reach, **options)
    click.echo(f"exported {model} to {directory}")
