"""Hook implementations of ollamax-plugin-phi3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ollamax.plugins import hookimpl

if TYPE_CHECKING:
    from ollamax.arch.base import Architecture
    from ollamax.convert.base import Converter


@hookimpl
def ollamax_architectures() -> list[type[Architecture]]:
    """The phi3 model."""
    from ollamax_phi3.model import Phi3

    return [Phi3]


@hookimpl
def ollamax_converters() -> list[type[Converter]]:
    """The converter of Phi3ForCausalLM checkpoints."""
    from ollamax_phi3.convert import Phi3Converter

    return [Phi3Converter]
