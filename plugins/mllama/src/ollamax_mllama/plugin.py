"""Hook implementations of ollamax-plugin-mllama."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ollamax.plugins import hookimpl

if TYPE_CHECKING:
    from ollamax.arch.base import Architecture
    from ollamax.convert.base import Converter


@hookimpl
def ollamax_architectures() -> list[type[Architecture]]:
    """The mllama model."""
    from ollamax_mllama.model import Mllama

    return [Mllama]


@hookimpl
def ollamax_converters() -> list[type[Converter]]:
    """The converter of MllamaForConditionalGeneration checkpoints."""
    from ollamax_mllama.convert import MllamaConverter

    return [MllamaConverter]
