"""Hook implementations of ollamax-backend-abacus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ollamax.plugins import hookimpl

if TYPE_CHECKING:
    from ollamax.backend.base import Backend


@hookimpl
def ollamax_backends() -> list[type[Backend]]:
    """The abacus backend."""
    from ollamax_backend_abacus.backend import Abacus

    return [Abacus]
