"""``ollamax create``: make a model from a Modelfile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ollamax.cli.console import print_warning
from ollamax.cli.progress import progress
from ollamax.errors import StoppedError, UsageError


@click.command()
@click.argument("name")
@click.option(
    "-f",
    "--file",
    "file",
    metavar="PATH",
    type=click.Path(path_type=Path),
    default=Path("Modelfile"),
    show_default=True,
    help="The Modelfile.",
)
@click.option(
    "-q",
    "--quantize",
    metavar="TYPE",
    help="Store the weights as TYPE: F32, F16, BF16, Q8_0, Q5_1, Q5_0, Q4_1, Q4_0, or Q6_K, Q5_K_M, Q4_K_M and "
    "more where a plugin writes them.",
)
@click.option("--allow-requantize", is_flag=True, help="Quantize weights of fewer than 8 bits too, at a loss.")
@click.option("--dry-run", is_flag=True, help="List what would become of every tensor, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the list of --dry-run as JSON.")
def create(name: str, file: Path, quantize: str | None, allow_requantize: bool, dry_run: bool, as_json: bool) -> None:
    """Create the model NAME from a Modelfile.

    FROM in the Modelfile is a model in the store, a .gguf file, or a Hugging Face directory with safetensors or
    PyTorch weights, which is converted. Relative paths start at the Modelfile. If creation fails or is stopped,
    nothing changes.
    """
    from ollamax.engine.create import create as create_model
    from ollamax.modelfile import load_modelfile

    if as_json and not dry_run:
        raise UsageError("--json prints the list of --dry-run; add that, or leave --json out")
    if allow_requantize and quantize is None:
        raise UsageError("--allow-requantize belongs to --quantize TYPE; add that, or leave it out")
    modelfile = load_modelfile(file)
    if dry_run:
        from ollamax.cli.plan import show_plan
        from ollamax.engine.dry_run import dry_run as plan

        show_plan(plan(name, modelfile, file.parent, quantize, requantize=allow_requantize), as_json)
        return
    with _stoppable(name), progress(f"creating {name}") as shown:
        made = create_model(
            name,
            modelfile,
            file.parent,
            quantize,
            shown.reach,
            requantize=allow_requantize,
            warn=print_warning,
        )
    click.echo(f"created {made}")


@contextmanager
def _stoppable(name: str) -> Iterator[None]:
    """Ctrl-C that undoes what was begun is a failure, and says so."""
    try:
        yield
    except KeyboardInterrupt:
        raise StoppedError(f"creating {name} was stopped by Ctrl-C") from None
