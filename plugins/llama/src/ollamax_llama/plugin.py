"""Hook implementations of ollamax-plugin-llama."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ollamax.plugins import hookimpl

if TYPE_CHECKING:
    from ollamax.arch.base import Architecture
    from ollamax.convert.base import Converter


@hookimpl
def ollamax_architectures() -> list[type[Architecture]]:
    """The llama model."""
    from ollamax_llama.model import Llama

    return [Llama]


@hookimpl
def ollamax_converters() -> list[type[Converter]]:
    """The converter of LlamaForCausalLM checkpoints."""
    from ollamax_llama.convert import LlamaConverter

    return [LlamaConverter]
