"""Opens whatever holds a model: a .gguf file, or a Hugging Face directory seen through its converter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ollamax.errors import GGUFError, ModelNotFoundError
from ollamax.plugins import Registry
from ollamax.tokenizer.base import PreTokenizer
from ollamax.types import TensorSource

if TYPE_CHECKING:
    from ollamax.convert.base import Converter
    from ollamax.convert.checkpoint import Checkpoint
    from ollamax.convert.conversion import Conversion

_PARTS = "split.count"


def open_source(path: Path, registry: Registry) -> TensorSource:
    """The model at ``path``, open; nothing is written. The caller closes it.

    Raises ModelNotFoundError where there is no such path, GGUFError or CheckpointError for a file or directory that
    breaks its format, ConversionError for a checkpoint that no converter can read, and TokenizerError.
    """
    if path.is_dir():
        return open_checkpoint(path, registry)
    if not path.exists():
        raise ModelNotFoundError(f"{path}: no such file or directory")
    from ollamax.gguf import Metadata, open_gguf

    file = open_gguf(path)
    if Metadata(file.metadata, path).integer(_PARTS, 1) > 1:
        file.close()
        raise GGUFError(
            path, "one part of a split model; join the parts with llama-gguf-split --merge", f"key {_PARTS}"
        )
    return file


def open_checkpoint(directory: Path, registry: Registry) -> Conversion:
    """The Hugging Face directory as GGUF metadata and tensors; raises as ``open_source`` does."""
    from ollamax.convert.conversion import Conversion

    checkpoint, converter = open_converter(directory, registry)
    try:
        return Conversion(checkpoint, converter, read_tokenizer(directory, converter, registry))
    except BaseException:
        checkpoint.close()
        raise


def read_tokenizer(directory: Path, converter: Converter, registry: Registry) -> dict[str, Any]:
    """The GGUF keys of the tokenizer and the templates in ``directory``; raises CheckpointError, ConversionError."""
    from ollamax.tokenizer.huggingface import tokenizer_metadata

    pre_tokenizers = [kind for kind in registry.tokenizers if issubclass(kind, PreTokenizer)]
    return tokenizer_metadata(directory, pre_tokenizers, converter.embedding_rows())


def open_converter(directory: Path, registry: Registry) -> tuple[Checkpoint, Converter]:
    """The Hugging Face directory, open, and the converter that its config.json asks for."""
    from ollamax.convert.checkpoint import Checkpoint
    from ollamax.json_file import read_optional

    checkpoint = Checkpoint(directory)
    try:
        kind = registry.converter_for(checkpoint.architecture)
        beside = {name: read_optional(directory / name) for name in kind.files}
        return checkpoint, kind({**checkpoint.config, **beside})
    except BaseException:
        checkpoint.close()
        raise
