"""Two traces side by side: how far each tensor departs, and which is the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ollamax.arch.names import LOGITS
from ollamax.errors import ComparisonError
from ollamax.inspect.trace import Array, Trace

TOLERANCES = {"F64": 1e-4, "F32": 1e-4, "F16": 1e-2, "BF16": 1e-1}
"""The largest relative error that is taken for rounding, by the least exact type of the weights.

Random models of up to 16 layers reach 3e-6, 3e-3 and 3e-2, and 0.16 with Q8_0.
"""
_EIGHT_BITS, _FEWER_BITS = 0.25, 0.5


class Status(StrEnum):
    """How a tensor stands."""

    SAME = "same"  # within the tolerance
    DEPARTS = "departs"
    ABSENT = "absent"  # the reference computes it, the model has its weights and does not
    MISSHAPEN = "misshapen"


@dataclass(frozen=True, slots=True)
class Row:
    """One tensor. The figures are None where they cannot be had.

    ``difference`` is the largest between two elements. ``relative`` is the norm of a token's difference over the norm
    of its reference, ``cosine`` that between the two; each of the token where it is worst, so that one huge token does
    not hide the others.
    """

    name: str
    status: Status
    shape: tuple[int, ...]
    difference: float | None = None
    relative: float | None = None
    cosine: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """``made_by`` against ``reference``, in the order in which the reference computes.

    ``uncompared`` are names that only one of the two has.
    """

    reference: str
    made_by: str
    tolerance: float
    rows: list[Row]
    uncompared: list[str]
    same_weights: bool | None = None

    @property
    def first(self) -> Row | None:
        """The first tensor that departs, if any."""
        return next((row for row in self.rows if row.status is not Status.SAME), None)


def default_tolerance(weights: str) -> float:
    """The tolerance for weights whose least exact type is called so."""
    return TOLERANCES.get(weights, _EIGHT_BITS if weights.startswith("Q8") else _FEWER_BITS)


def check_comparable(
    architecture: str, vocabulary: int, layers: int, place: str, model: Trace, tokens: Sequence[int] | None = None
) -> None:
    """Raise ComparisonError unless a reference at ``place`` with these facts is of such a model and prompt."""
    for what, theirs, ours in (
        ("architecture", architecture, model.architecture),
        ("vocabulary", vocabulary, model.vocabulary),
        ("layer count", layers, model.layers),
    ):
        if theirs != ours:
            raise ComparisonError(
                f"{place} has another {what} than {model.model}: {theirs} and {ours}; give the checkpoint that the "
                "model was converted from, or a trace of it"
            )
    if tokens is not None and tuple(tokens) != model.tokens:
        raise ComparisonError(
            f"{place} is a trace of another prompt: its tokens are {_list(tokens)}, those given {_list(model.tokens)}; "
            "leave out the prompt to take the trace's"
        )


def compare(reference: Trace, model: Trace, tolerance: float | None = None) -> Comparison:
    """Line up the tensors by name; raises ComparisonError where that makes no sense."""
    place = reference.model if reference.model != model.model else reference.made_by
    check_comparable(reference.architecture, reference.vocabulary, reference.layers, place, model, reference.tokens)
    limit = default_tolerance(model.weights) if tolerance is None else tolerance
    rows, uncompared = [], []
    for name, expected in reference.tensors.items():
        if name in model.tensors:
            rows.append(_row(name, expected, model.tensors[name], limit))
        elif name in model.modules:
            rows.append(Row(name, Status.ABSENT, expected.shape))
        else:
            uncompared.append(name)
    if all(row.status is Status.ABSENT for row in rows):
        raise ComparisonError(f"{place} and {model.model} have no tensor name in common; is it the same architecture?")
    uncompared += [name for name in model.tensors if name not in reference.tensors]
    known = reference.digest and model.digest
    same = reference.digest == model.digest if known else None
    return Comparison(reference.made_by, model.made_by, limit, rows, uncompared, same)


def _row(name: str, expected: Array, actual: Array, limit: float) -> Row:
    wanted, found = (value.reshape(len(value), -1) for value in (expected, actual))
    if name == LOGITS:
        wanted, found = _given(wanted), _given(found)
    if wanted.shape != found.shape:
        return Row(name, Status.MISSHAPEN, expected.shape)
    wanted, found = wanted.astype(np.float64), found.astype(np.float64)
    # Equal infinities are no difference, such as the logits of tokens that a model never gives.
    alike = ~np.isfinite(wanted) & (wanted == found)
    wanted, found = np.where(alike, 0.0, wanted), np.where(alike, 0.0, found)
    if not (np.isfinite(wanted).all() and np.isfinite(found).all()):
        return Row(name, Status.DEPARTS, expected.shape)
    error = np.linalg.norm(found - wanted, axis=1)
    norms = np.linalg.norm(wanted, axis=1), np.linalg.norm(found, axis=1)
    relative = float(np.divide(error, norms[0], out=np.where(error > 0, np.inf, 0.0), where=norms[0] > 0).max())
    product = norms[0] * norms[1]
    cosines = np.divide((wanted * found).sum(axis=1), product, out=np.where(error > 0, 0.0, 1.0), where=product > 0)
    status = Status.SAME if relative <= limit else Status.DEPARTS
    largest = float(np.abs(found - wanted).max(initial=0.0))
    return Row(name, status, expected.shape, largest, relative, float(cosines.min()))


def _given(logits: Array) -> Array:
    """The logits without those at the end that are -inf everywhere: tokens that a model reads and never gives."""
    given = np.flatnonzero((logits != -np.inf).any(axis=0))
    return logits[:, : given[-1] + 1] if given.size else logits


def _list(tokens: Sequence[int]) -> str:
    return " ".join(map(str, tokens[:8])) + (" ..." if len(tokens) > 8 else "")
