"""``ollamax compare``: a model beside transformers, a saved trace, or another backend, layer by layer."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ollamax.cli.comma_list import Names
from ollamax.cli.console import print_json, print_table
from ollamax.cli.prompt_tokens import given_prompt, prompt_options
from ollamax.errors import ComparisonError

if TYPE_CHECKING:
    from ollamax.inspect.comparison import Comparison, Row

_SHOWN_NAMES = 6


class _Tolerance(click.FloatRange):
    """A number of a range, which NaN would seem to be in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read ``value``."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


@click.command()
@click.argument("model")
@click.option(
    "--reference",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A Hugging Face directory, which transformers runs, or a trace that ollamax trace --save wrote.",
)
@prompt_options
@click.option(
    "--backend",
    "backends",
    type=Names(),
    default="auto",
    show_default=True,
    help="Backends, separated by commas; without --reference the first is what the others are compared with.",
)
@click.option(
    "--tolerance",
    metavar="FLOAT",
    type=_Tolerance(min=0.0, max=1e9),
    help="Largest relative error of a token that is rounding.  [default: 1e-4 for F32 weights, 0.01 for F16, 0.1 "
    "for BF16, 0.25 for Q8, 0.5 for fewer bits]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def compare(
    model: str,
    reference: Path | None,
    prompt: str | None,
    tokens: str | None,
    backends: tuple[str, ...],
    tolerance: float | None,
    as_json: bool,
) -> None:
    """Compare the tensors that MODEL computes with a reference's, and name the first that departs.

    The exit status is 1 if one does. A reference trace brings its own tokens. A Hugging Face reference needs torch and
    transformers: pip install 'ollamax-core[reference]'.
    """
    from ollamax.engine.resolve import resolve
    from ollamax.inspect.compare import compare_model
    from ollamax.plugins import get_registry

    given = None if prompt is None and tokens is None else given_prompt(prompt, tokens)
    found = compare_model(resolve(model), given, get_registry(), backends, reference, tolerance)
    if as_json:
        print_json([asdict(comparison) | {"first": _first(comparison)} for comparison in found])
    else:
        for comparison in found:
            _show(comparison)
    parted = [verdict for comparison in found if (verdict := _verdict(comparison))]
    if parted:
        raise ComparisonError("; ".join(parted))


def _first(comparison: Comparison) -> str | None:
    return comparison.first.name if comparison.first else None


def _show(comparison: Comparison) -> None:
    print(f"{comparison.made_by} beside {comparison.reference}, tolerance {comparison.tolerance:g}")
    if comparison.same_weights is False:
        print("the reference was computed from other weights")
    headers = ("TENSOR", "SHAPE", "LARGEST DIFFERENCE", "RELATIVE ERROR", "COSINE", "STATUS")
    print_table(headers, [_cells(row) for row in comparison.rows])
    if names := comparison.uncompared:
        more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
        print(f"not compared, since only one of the two has them: {', '.join(names[:_SHOWN_NAMES])}{more}")
    if comparison.first is None:
        print(f"all {len(comparison.rows)} tensors are the same within the tolerance")


def _cells(row: Row) -> list[str]:
    cosine = "-" if row.cosine is None else f"{row.cosine:.6f}"
    shape = " x ".join(map(str, row.shape))
    return [row.name, shape, _figure(row.difference), _figure(row.relative), cosine, str(row.status)]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2e}"


def _verdict(comparison: Comparison) -> str:
    row = comparison.first
    if row is None:
        return ""
    beside = f"on {comparison.made_by} beside {comparison.reference}"
    if row.relative is not None:
        size = f"relative error {row.relative:.2e}, tolerance {comparison.tolerance:g}"
        return f"{row.name} is the first tensor that departs {beside}: {size}"
    problem = {"absent": "the model never computes it", "misshapen": "its shape is another"}
    return f"{row.name} is the first tensor that departs {beside}: {problem.get(row.status, 'it is not finite')}"
