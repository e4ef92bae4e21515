"""Hook implementations of ollamax-plugin-qwen2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ollamax.plugins import hookimpl

if TYPE_CHECKING:
    from ollamax.arch.base import Architecture
    from ollamax.convert.base import Converter


@hookimpl
def ollamax_architectures() -> list[type[Architecture]]:
    """The qwen2 model."""
    from ollamax_qwen2.model import Qwen2

    return [Qwen2]


@hookimpl
def ollamax_converters() -> list[type[Converter]]:
    """The converter of Qwen2ForCausalLM checkpoints."""
    from ollamax_qwen2.convert import Qwen2Converter

    return [Qwen2Converter]
