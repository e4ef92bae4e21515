"""Hook implementations of ollamax-backend-metal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ollamax.plugins import hookimpl

if TYPE_CHECKING:
    from ollamax.backend.base import Backend


@hookimpl
def ollamax_backends() -> list[type[Backend]]:
    """The MLX backend."""
    from ollamax_backend_metal.backend import Metal

    return [Metal]
