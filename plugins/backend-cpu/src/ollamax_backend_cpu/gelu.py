"""The exact GELU from a table: NumPy has no error function, and Python's takes one number at a time."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_EDGE = 14
"""Beyond it float32 knows only 0 and 1."""
_STEPS = 64
_CHUNK = 1 << 14
"""Elements at a time, so that the intermediate results stay in the processor's cache."""


@cache
def _tables() -> tuple[Array, ...]:
    """The first four terms of the Taylor series of the normal distribution about every 64th of a unit.

    What the fifth adds is below 1e-9.
    """
    grid = np.arange(-_EDGE * _STEPS, _EDGE * _STEPS + 1) / _STEPS
    density = np.exp(-(grid**2) / 2) / math.sqrt(2 * math.pi)
    below = np.array([math.erfc(-point / math.sqrt(2)) / 2 for point in grid])
    below[0] = 0  # for all that lies farther out
    terms = (below, density, -grid * density / 2, (grid**2 - 1) * density / 6)
    return tuple(term.astype(np.float32) for term in terms)


def gelu(x: Array) -> Array:
    """``x Phi(x)`` for float32 of any shape, to within a millionth of each value, or 1e-16."""
    flat = x.reshape(-1)
    result = np.empty_like(flat)
    for start in range(0, flat.size, _CHUNK):
        part = flat[start : start + _CHUNK]
        result[start : start + _CHUNK] = part * _normal(part)
    return result.reshape(x.shape)


def _normal(x: Array) -> Array:
    """``Phi(x)``; 1 for NaN."""
    constant, linear, square, cube = _tables()
    offset = np.fmin(np.fmax(x, np.float32(-_EDGE)), np.float32(_EDGE))
    nearest = np.rint(offset * np.float32(_STEPS))
    index = nearest.astype(np.int32) + _EDGE * _STEPS
    offset -= nearest * np.float32(1 / _STEPS)
    total: Array = cube[index]
    for term in (square, linear, constant):
        total *= offset
        total += term[index]
    return total
