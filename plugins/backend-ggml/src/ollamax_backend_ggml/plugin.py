"""Hook implementations of ollamax-backend-ggml."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ollamax.plugins import hookimpl

if TYPE_CHECKING:
    from ollamax.backend.base import Backend
    from ollamax.convert.quantizer import Quantizer


@hookimpl
def ollamax_backends() -> list[type[Backend]]:
    """The ggml backend."""
    from ollamax_backend_ggml.backend import GGML

    return [GGML]


@hookimpl
def ollamax_quantizers() -> list[type[Quantizer]]:
    """The storage types that ggml writes."""
    from ollamax_backend_ggml.quantizer import GGMLQuantizer

    return [GGMLQuantizer]
