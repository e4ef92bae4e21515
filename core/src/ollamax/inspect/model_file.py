"""What a .gguf file or a Hugging Face directory says of itself, and whether the plugins here can run it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sized
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ollamax.convert.base import Converter
from ollamax.convert.checkpoint import CONFIG, Checkpoint
from ollamax.convert.mapping import MappedTensor, map_tensors
from ollamax.engine.draft import open_draft
from ollamax.engine.origin import Origin
from ollamax.engine.resolve import ResolvedModel
from ollamax.engine.source import read_tokenizer
from ollamax.errors import OllamaxError
from ollamax.inspect.tensor_groups import TensorGroup, group_tensors
from ollamax.json_file import read_optional
from ollamax.plugins.manager import Manager

_ARCHITECTURE, _TEMPLATE = "general.architecture", "tokenizer.chat_template"
_COUNTS = {"tokens": "tokenizer.ggml.tokens", "merges": "tokenizer.ggml.merges"}


@dataclass(slots=True)
class ModelFile:
    """What could be read; whatever could not is None or empty, and ``missing`` says why.

    ``checkpoint`` is the class that config.json names. ``hyper_parameters`` are GGUF keys, or those of config.json
    where no converter takes it. ``plugins`` names the distribution that provides each part, None where nobody does.
    """

    path: Path
    format: str
    checkpoint: str | None = None
    architecture: str | None = None
    hyper_parameters: dict[str, Any] = field(default_factory=dict)
    tensors: list[TensorGroup] = field(default_factory=list)
    parameters: int = 0
    tokenizer: dict[str, Any] = field(default_factory=dict)
    templates: dict[str, str] = field(default_factory=dict)
    plugins: dict[str, str | None] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


def inspect_model(model: ResolvedModel, manager: Manager) -> ModelFile:
    """Look at ``model`` without loading weights; raises an OllamaxError where it cannot be opened at all.

    A checkpoint that no installed converter takes is read as far as it tells without one.
    """
    found = ModelFile(model.path, "gguf" if model.path.is_file() else "huggingface")
    registry = manager.registry()
    if found.format == "huggingface":
        found.checkpoint = _checkpoint_class(model.path)
    try:
        with open_draft(model.path, registry) as draft:
            draft.examine(model.modelfile, Origin(model.path, model.modelfile), registry)
            _take_tensors(found, draft.rows)
            _take_keys(found, draft.metadata)
            found.missing = list(draft.problems)
    except OllamaxError as error:
        if found.format != "huggingface":
            raise
        found.missing = [str(error)]
        _read_unconverted(found, manager)
    found.plugins = _providers(found, manager)
    return found


def _checkpoint_class(directory: Path) -> str | None:
    named = read_optional(directory / CONFIG).get("architectures")
    return named[0] if isinstance(named, list) and named and isinstance(named[0], str) else None


def _take_tensors(found: ModelFile, rows: list[MappedTensor]) -> None:
    found.tensors = group_tensors(rows)
    found.parameters = sum(group.count * math.prod(group.shape) for group in found.tensors)


def _take_keys(found: ModelFile, metadata: Mapping[str, Any]) -> None:
    name = metadata.get(_ARCHITECTURE)
    found.architecture = name if isinstance(name, str) else None
    own = {key: value for key, value in metadata.items() if not key.startswith(("general.", "tokenizer."))}
    found.hyper_parameters = {key: _plain(value) for key, value in own.items()}
    prefix = "tokenizer.ggml."
    kinds = ("model", "pre")
    found.tokenizer = {kind: metadata[prefix + kind] for kind in kinds if isinstance(metadata.get(prefix + kind), str)}
    found.tokenizer |= {
        label: len(metadata[key]) for label, key in _COUNTS.items() if isinstance(metadata.get(key), Sized)
    }
    special = [key for key in metadata if key.startswith(prefix) and key.endswith(("_token_id", "_token"))]
    found.tokenizer |= {key.removeprefix(prefix): _plain(metadata[key]) for key in sorted(special)}
    texts = [key for key in metadata if key == _TEMPLATE or key.startswith(f"{_TEMPLATE}.")]
    found.templates = {key.removeprefix(_TEMPLATE).lstrip(".") or "default": str(metadata[key]) for key in texts}


def _read_unconverted(found: ModelFile, manager: Manager) -> None:
    """What a checkpoint tells without its converter; each part that is no good is a problem of its own."""
    config = read_optional(found.path / CONFIG)
    kind = manager.registry().converters.get(found.checkpoint or "")
    reader = _Unconverted({key: value for key, value in config.items() if value is not None})
    try:
        _take_keys(found, read_tokenizer(found.path, reader, manager.registry()))
    except OllamaxError as error:
        found.missing.append(str(error))
    found.architecture = kind.architecture if kind else None
    found.hyper_parameters = {key: _plain(value) for key, value in config.items()}
    try:
        with closing(Checkpoint(found.path)) as checkpoint:
            _take_tensors(found, map_tensors(checkpoint.tensors, reader))
    except OllamaxError as error:
        found.missing.append(str(error))
    found.missing = list(dict.fromkeys(found.missing))


class _Unconverted(Converter):
    """Stands in for a converter that is not there: it has no name for any tensor."""

    def embedding_rows(self) -> int:
        # Some checkpoints say it of their text part.
        own = self.config if "vocab_size" in self.config else self.config.section("text_config")
        return own.size("vocab_size")


def _providers(found: ModelFile, manager: Manager) -> dict[str, str | None]:
    """The distribution of each part that a plugin must provide for this model."""
    parts = {
        "checkpoint": found.checkpoint,
        "architecture": found.architecture,
        "tokenizer": found.tokenizer.get("model"),
        "pre-tokenizer": found.tokenizer.get("pre"),
    }
    return {kind: manager.provider(kind, name) for kind, name in parts.items() if name is not None}


def _plain(value: Any) -> Any:
    """``value`` as JSON has it; a number that JSON cannot hold as text, an array as a list."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str | int | float | bool | None):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return _plain(value.tolist())
