"""What FROM names: a file or directory, a model in the store, or one that a plugin brings."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ollamax.engine.options import lookup
from ollamax.engine.resolve import bundled_modelfile, find_bundled, stored_modelfile
from ollamax.errors import ModelNotFoundError
from ollamax.modelfile import Modelfile
from ollamax.plugins import Registry
from ollamax.store import Layer, MediaType, Store


@dataclass(frozen=True, slots=True)
class Origin:
    """A model to build on: its file or directory, its settings, and its blob if it lies in the store."""

    path: Path
    modelfile: Modelfile
    blob: Layer | None = None


def find_origin(text: str, base_dir: Path, store: Store, registry: Registry) -> Origin:
    """What ``FROM text`` means in a Modelfile that lies in ``base_dir``.

    A file or directory comes before a model of that name, and the store before bundled models. Raises
    ModelNotFoundError, and NameInvalidError for what cannot be a name either.
    """
    # Not pathlib's: these take what cannot be a path (too long, a NUL, an unknown user) for one that does not exist.
    path = base_dir / os.path.expanduser(text)  # noqa: PTH111
    if os.path.exists(path):  # noqa: PTH110
        return Origin(path, Modelfile())
    if text.startswith((".", "/", "~")) or text.lower().endswith((".gguf", ".safetensors")) or "\\" in text:
        raise ModelNotFoundError(f"FROM {text}: there is no file or directory {path}")
    if stored := store.find(text):
        path = stored.model_path
        (blob,) = [layer for layer in stored.layers if layer.media_type == MediaType.MODEL]
        return Origin(path, stored_modelfile(stored), blob)
    if bundled := find_bundled(text, registry):
        return Origin(bundled.file(), bundled_modelfile(bundled))
    raise store.not_found(text, tuple(registry.models))


def inherit(own: Modelfile, base: Modelfile) -> Modelfile:
    """``own`` laid over ``base``, by Ollama's rules: licences add up, of parameters each is replaced by name."""
    return Modelfile(
        from_=own.from_,
        parameters=_named(base) | _named(own),
        template=base.template if own.template is None else own.template,
        system=base.system if own.system is None else own.system,
        licenses=[*base.licenses, *own.licenses],
        messages=own.messages or base.messages,
    )


def _named(modelfile: Modelfile) -> dict[str, list[str]]:
    """The parameters under the options' own names, so that an alias replaces what it means."""
    return {lookup(name).name: values for name, values in modelfile.parameters.items()}
