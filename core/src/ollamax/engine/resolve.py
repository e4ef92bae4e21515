"""What a model's name on the command line or in the library stands for."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from ollamax.errors import ModelNotFoundError
from ollamax.modelfile import Modelfile, parse_modelfile
from ollamax.plugins import BundledModel, Registry, get_registry
from ollamax.store import Store, StoredModel

_ABSENT = "no such file or directory"


class Kind(StrEnum):
    """Where a model lies."""

    STORE = "store"
    BUNDLED = "bundled"
    GGUF = "gguf"
    HUGGINGFACE = "huggingface"


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model that was found: ``path`` is its .gguf file or checkpoint directory, ``name`` how it is called.

    ``modelfile`` holds its settings; its FROM is ``path``. A file or directory has none but that.
    """

    kind: Kind
    name: str
    path: Path
    modelfile: Modelfile


def resolve(name: str, *, store: Store | None = None, registry: Registry | None = None) -> ResolvedModel:
    """The model called ``name``: a path that exists, a model in the store, or a bundled one, in this order.

    A path is what begins with ``.``, ``/`` or ``~``, ends in ``.gguf``, is a file and not just a bare word, or is a
    directory with a config.json. ``store`` and ``registry`` are by default those of this process; plugins are
    loaded only when the store does not know the name. Raises ModelNotFoundError with the names that are like it,
    NameInvalidError, and StoreError or PluginError where what was found is damaged.
    """
    if found := _at_path(name):
        return found
    store = store or Store()
    if stored := store.find(name):
        return ResolvedModel(Kind.STORE, str(stored.name), stored.model_path, stored_modelfile(stored))
    registry = registry or get_registry()
    if bundled := find_bundled(name, registry):
        return ResolvedModel(Kind.BUNDLED, bundled.name, bundled.file(), bundled_modelfile(bundled))
    raise store.not_found(name, tuple(registry.models))


def find_bundled(name: str, registry: Registry) -> BundledModel | None:
    """The model that a plugin brings under ``name``, whose tag may be said to be latest."""
    return registry.models.get(name.removesuffix(":latest"))


def stored_modelfile(model: StoredModel) -> Modelfile:
    """The Modelfile of a model in the store; FROM is the blob of its weights."""
    return Modelfile(
        from_=str(model.model_path),
        parameters={
            name: [str(item) for item in (value if isinstance(value, list) else [value])]
            for name, value in model.params.items()
        },
        template=model.template,
        system=model.system,
        licenses=model.licenses,
        messages=model.messages,
    )


def bundled_modelfile(model: BundledModel) -> Modelfile:
    """The Modelfile of a bundled model; FROM is its file. Raises ModelfileError for one that is malformed."""
    fragment = parse_modelfile(model.modelfile or "", origin=f"bundled model {model.name}", require_from=False)
    return replace(fragment, from_=str(model.file()))


def _at_path(name: str) -> ResolvedModel | None:
    path = Path(os.path.expanduser(name))  # noqa: PTH111 - pathlib's raises for a user that does not exist
    if _is_explicit(name):
        if not (_exists(path) or path.is_dir()):
            # A pipe or a device; os.path's takes what cannot be a path for one that does not exist.
            special = os.path.exists(path)  # noqa: PTH110
            problem = "not a regular file; give a .gguf file or a Hugging Face directory" if special else _ABSENT
            raise ModelNotFoundError(f"{name}: {problem}")
    elif not (_exists(path / "config.json") or (len(path.parts) > 1 and _exists(path))):
        return None
    kind = Kind.HUGGINGFACE if path.is_dir() else Kind.GGUF
    return ResolvedModel(kind, name, path, Modelfile(from_=str(path)))


def _exists(path: Path) -> bool:
    """Whether there is a file; what is too long for one, or holds a NUL, is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _is_explicit(name: str) -> bool:
    """Whether ``name`` can only be meant as a path: no model's name looks like this."""
    return name.startswith((".", "/", "~")) or "\\" in name or name.lower().endswith(".gguf")
