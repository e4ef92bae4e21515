"""A device of MLX: arrays come into being there, and are evaluated there."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import mlx.core as mx

from ollamax.backend.hardware import available_memory
from ollamax.errors import BackendError

if TYPE_CHECKING:
    from ollamax.backend.base import Array


_LARGE = 1 << 20
"""Bytes of a weight from which on it is worth looking whether there is room."""


class MLXDevice:
    """Where a backend computes, and how long it did."""

    def __init__(self, device: Any, name: str, compiles: bool) -> None:
        self._device, self._name, self.compiles = device, name, compiles
        self.seconds = 0.0

    def close(self) -> None:
        """Give the memory back that MLX keeps for later arrays."""
        mx.clear_cache()

    def used(self) -> AbstractContextManager[Any]:
        """While this is entered, what MLX collects belongs to the device."""
        context: AbstractContextManager[Any] = mx.stream(self._device)
        return context

    def evaluate(self, arrays: Sequence[Any]) -> None:
        """Compute; what is not evaluated belongs to the thread that collected it, what is belongs to all."""
        begun = time.perf_counter()
        try:
            mx.eval(arrays)
        finally:
            self.seconds += time.perf_counter() - begun

    def check_room(self, purpose: str, size: int) -> None:
        """Raise BackendError where main memory has no room for ``size`` bytes, at which MLX would end the process.

        CUDA's devices have memory of their own, which is not counted here.
        """
        free = available_memory()
        if size > free and self._name != "cuda":
            raise BackendError(
                f"backend metal: {purpose} need {size / 1e6:,.0f} MB and {free / 1e6:,.0f} MB are free; take a smaller "
                "num_ctx, fewer sequences, a smaller model, or a more compact cache type"
            )

    def put(self, values: Array) -> Any:
        """A copy of ``values`` on the device; raises BackendError where there is no room."""
        if values.nbytes > _LARGE:
            self.check_room("weights", values.nbytes)
        with self.used():
            result = mx.array(values)
            mx.eval(result)
        return result
