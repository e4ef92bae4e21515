"""Functions that MLX has compiled, each for runs of the same sizes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import mlx.core as mx

Step = Callable[[list[Any], list[list[Any]]], tuple[list[Any], list[list[Any]]]]
"""From what a run is given, and versions of states, to outputs and new versions."""

WALKS = 1
"""How often runs of the same sizes are walks before they are compiled: most prompts' lengths never come again."""

MOST = 16
"""How many sizes of a program are remembered; those go that were unused for longest, with what was compiled."""


class Forms(threading.local):
    """The functions of a program, apart for each thread that runs it.

    MLX keeps what it compiles by thread and by the address of the Python function. One that two threads call would
    leave something behind in one of them, which could be taken for that of a later function at the same address.
    """

    def __init__(self, make: Callable[[Mapping[str, int]], Step], compiles: bool) -> None:
        self._make, self._compiles = make, compiles
        self._known: dict[tuple[tuple[str, int], ...], int | Step] = {}

    def find(self, dims: Mapping[str, int]) -> Step:
        """The function for runs of these sizes: a walk, or what MLX made of one."""
        if not self._compiles:
            return self._make(dims)
        key = tuple(sorted(dims.items()))
        known = self._known.pop(key, 0)
        if isinstance(known, int):
            known = known + 1 if known < WALKS else mx.compile(self._make(dims))
        self._known[key] = known
        if len(self._known) > MOST:
            del self._known[next(iter(self._known))]
        return self._make(dims) if isinstance(known, int) else known
