"""The page of hooks, and of the classes that they return."""

from __future__ import annotations

from docstring import markdown
from entry import class_entry, function_entry
from ollamax import arch, backend, tokenizer
from ollamax.convert.base import Converter, Extra
from ollamax.convert.decoder import DecoderConverter
from ollamax.convert.quantizer import Quantizer
from ollamax.plugins import BundledModel, hookspecs


def hooks() -> str:
    """Every hook with signature and example."""
    found = [
        function_entry(name, function) for name, function in vars(hookspecs).items() if name.startswith("ollamax_")
    ]
    return "\n\n".join(["# Hooks", markdown(hookspecs.__doc__), "What they return: [contracts](contracts.md).", *found])


def contracts() -> str:
    """The classes that plugins subclass or fill in, by what they are for."""
    rooms = {
        "Architectures": [arch.Architecture, arch.Batch, arch.VisionArchitecture, arch.Picture],
        "Converters": [Converter, DecoderConverter, Extra],
        "Tokenizers": [tokenizer.Tokenizer, tokenizer.PreTokenizer, tokenizer.StreamDecoder],
        "Backends": [getattr(backend, name) for name in backend.__all__],
        "Quantizers": [Quantizer],
        "Models that a package brings": [BundledModel],
    }
    parts = [
        "# Contracts",
        "The classes that plugins subclass, and those that they give and are given. Symbols in shapes are explained in "
        "[Architecture](../architecture.md#the-graph).",
    ]
    for title, classes in rooms.items():
        parts += [f"## {title}", *(class_entry(kind, 3) for kind in classes)]
    return "\n\n".join(parts)
