"""``ollamax trace``: every named intermediate tensor of a model, for one prompt."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ollamax.cli.console import print_json, print_table
from ollamax.cli.prompt_tokens import given_prompt, prompt_options
from ollamax.errors import UsageError

if TYPE_CHECKING:
    from ollamax.inspect.statistics import Statistics
    from ollamax.inspect.trace import Trace


@click.command()
@click.argument("model")
@prompt_options
@click.option("--backend", metavar="NAME", help="Backend that computes.  [default: auto]")
@click.option("--reference", is_flag=True, help="Let transformers compute, of a Hugging Face directory.")
@click.option(
    "--save",
    "directory",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Write the tensors to a new directory, which compare --reference takes.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def trace(
    model: str,
    prompt: str | None,
    tokens: str | None,
    backend: str | None,
    reference: bool,
    directory: Path | None,
    as_json: bool,
) -> None:
    """Show every named intermediate tensor that MODEL computes for a prompt, in the order of computation.

    A tensor is called by the module that made it: blk.0.attn_q, blk.0 for the residual after a block, output_norm,
    logits. X.input is what X was given. No template is applied to the prompt, and no picture takes part.
    """
    from ollamax.inspect.trace_directory import save_trace
    from ollamax.new_directory import check_new

    if reference and backend is not None:
        raise UsageError("--reference lets transformers compute; leave --backend out")
    given = given_prompt(prompt, tokens)
    if directory is not None:
        check_new(directory)
    made = _trace(model, given, backend, reference, digest=directory is not None)
    if directory is not None:
        save_trace(made, directory)
    _show(made, as_json)


def _trace(model: str, given: str | list[int], backend: str | None, reference: bool, digest: bool) -> Trace:
    from ollamax.engine.resolve import resolve
    from ollamax.plugins import get_registry

    found, registry = resolve(model), get_registry()
    if not reference:
        from ollamax.inspect.tracing import trace_model

        return trace_model(found, given, registry, backend or "auto", digest=digest)
    from ollamax.engine.load import load_tokenizer
    from ollamax.inspect.reference import require_transformers, trace_reference

    if not found.path.is_dir():
        raise UsageError(f"--reference takes a Hugging Face directory, which {model} is not")
    require_transformers()
    tokens = load_tokenizer(found.path).encode(given) if isinstance(given, str) else given
    return trace_reference(found.path, tokens, registry, digest=digest)


def _show(made: Trace, as_json: bool) -> None:
    from ollamax.inspect.statistics import statistics

    rows = {name: (value.shape, str(value.dtype), statistics(value)) for name, value in made.tensors.items()}
    if as_json:
        facts: dict[str, Any] = {"model": made.model, "architecture": made.architecture, "backend": made.made_by}
        facts |= {"digest": made.digest or None, "weights": made.weights, "tokens": made.tokens}
        listed = [
            {"name": name, "shape": shape, "dtype": dtype} | asdict(s) for name, (shape, dtype, s) in rows.items()
        ]
        print_json(facts | {"tensors": listed})
        return
    print(f"{made.architecture} on {made.made_by}, {len(made.tokens)} tokens: {' '.join(map(str, made.tokens))}")
    headers = ("TENSOR", "SHAPE", "DTYPE", "MEAN", "STD", "MIN", "MAX", "FIRST VALUES OF THE LAST TOKEN")
    print_table(headers, [_cells(name, *row) for name, row in rows.items()])


def _cells(name: str, shape: tuple[int, ...], dtype: str, found: Statistics) -> list[str]:
    figures = (found.mean, found.std, found.min, found.max)
    first = " ".join(map(_figure, found.first)) + (f" ({found.not_finite} not finite)" if found.not_finite else "")
    return [name, " x ".join(map(str, shape)), dtype, *map(_figure, figures), first]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.5g}"
