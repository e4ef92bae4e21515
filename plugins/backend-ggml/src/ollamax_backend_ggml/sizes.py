"""Shapes for a library that knows four axes: neighbours that an operation treats alike become one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ollamax.errors import BackendError

Sizes = tuple[int, ...]

AXES = 4


def fast_first(shape: Sequence[int]) -> Sizes:
    """The library's order of axes, filled up to four: ``(2, 3)`` gives ``(3, 2, 1, 1)``. Leading axes may merge."""
    if len(shape) > AXES:
        shape = (math.prod(shape[: len(shape) - AXES + 1]), *shape[len(shape) - AXES + 1 :])
    return (*reversed(shape), *[1] * (AXES - len(shape)))


def around(shape: Sequence[int], axis: int) -> Sizes:
    """``(inner, axis, outer)``: the sizes behind an axis, of it, and before it."""
    axis %= len(shape)
    return (math.prod(shape[axis + 1 :]), shape[axis], math.prod(shape[:axis]))


def merged(result: Sizes, operands: Sequence[Sizes], what: str, most: int = AXES) -> tuple[Sizes, list[Sizes]]:
    """``result`` and the operands that broadcast to it, row-major, with neighbouring axes merged where all agree.

    Raises BackendError when more than ``most`` axes are left.
    """
    padded = [(1,) * (len(result) - len(sizes)) + tuple(sizes) for sizes in operands]
    groups: list[list[int]] = []
    full_before: tuple[bool, ...] | None = None
    for axis, size in enumerate(result):
        if size == 1:
            continue
        full = tuple(sizes[axis] == size for sizes in padded)
        if full == full_before:
            groups[-1].append(axis)
        else:
            groups.append([axis])
        full_before = full
    if len(groups) > most:
        raise BackendError(f"backend ggml: {what} of {operands} has {len(groups)} axes that differ, at most {most}")
    return _products(result, groups), [_products(sizes, groups) for sizes in padded]


def merged_order(shape: Sizes, order: Sequence[int]) -> tuple[Sizes, Sizes]:
    """A transposition with axes of size 1 left out, and neighbours that stay neighbours merged."""
    kept = [axis for axis in order if shape[axis] != 1]
    runs: list[list[int]] = []
    position = {axis: place for place, axis in enumerate(sorted(kept))}
    for axis in kept:
        if runs and position[axis] == position[runs[-1][-1]] + 1:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    sources = sorted(runs)
    return _products(shape, sources), tuple(sources.index(run) for run in runs)


def _products(sizes: Sizes, groups: Sequence[Sequence[int]]) -> Sizes:
    return tuple(math.prod(sizes[axis] for axis in group) for group in groups)
