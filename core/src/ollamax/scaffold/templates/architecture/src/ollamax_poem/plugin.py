"""Hook implementations of ollamax-plugin-poem."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ollamax.plugins import hookimpl

if TYPE_CHECKING:
    from ollamax.arch.base import Architecture
    from ollamax.convert.base import Converter


@hookimpl
def ollamax_architectures() -> list[type[Architecture]]:
    """The poem model."""
    from ollamax_poem.model import Poem

    return [Poem]


@hookimpl
def ollamax_converters() -> list[type[Converter]]:
    """The converter of PoemForCausalLM checkpoints."""
    from ollamax_poem.convert import PoemConverter

    return [PoemConverter]
