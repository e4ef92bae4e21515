"""What ``create --dry-run`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ollamax.cli.console import print_error, print_json, print_table
from ollamax.cli.progress import format_size
from ollamax.errors import ConversionError

if TYPE_CHECKING:
    from ollamax.engine.dry_run import Plan, PlannedTensor


def show_plan(plan: Plan, as_json: bool) -> None:
    """Print every tensor and the totals; ConversionError if ``create`` would fail, after every reason is printed."""
    if as_json:
        print_json(_document(plan))
    else:
        print_table(("STATUS", "SOURCE", "TENSOR", "SHAPE", "TYPE", "SIZE"), [_cells(row) for row in plan.tensors])
        counts = ", ".join(f"{count} {status}" for status, count in plan.counts.items())
        print(f"{len(plan.tensors)} tensors: {counts}; {format_size(plan.nbytes)} to write")
    for problem in plan.problems:
        print_error(problem)
    if count := len(plan.problems):
        raise ConversionError(f"{plan.name} cannot be created, for {count} reason{'s' * (count > 1)} given above")


def _cells(row: PlannedTensor) -> tuple[str, ...]:
    shape = " x ".join(map(str, row.shape))
    if row.target is None:
        return str(row.status), row.source, "", shape, row.stored, ""
    types = row.target.dtype.name if not row.stored else f"{row.stored} -> {row.target.dtype.name}"
    return str(row.status), row.source, row.target.name, shape, types, format_size(row.target.nbytes)


def _document(plan: Plan) -> dict[str, Any]:
    return {
        "name": str(plan.name),
        "ok": not plan.problems,
        "problems": plan.problems,
        "counts": plan.counts,
        "bytes": plan.nbytes,
        "tensors": [
            {
                "status": str(row.status),
                "source": row.source or None,
                "source_type": row.stored or None,
                "shape": row.shape,
                "name": row.target.name if row.target else None,
                "type": row.target.dtype.name if row.target else None,
                "bytes": row.target.nbytes if row.target else None,
                "problem": row.problem or None,
            }
            for row in plan.tensors
        ],
    }
