"""The store of models."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path

from ollamax import config
from ollamax.errors import ModelNotFoundError, StoreError, UsageError
from ollamax.store.durable import disk_errors
from ollamax.store.model import StoredModel
from ollamax.store.name import ModelName
from ollamax.store.shelf import Shelf
from ollamax.store.transaction import Transaction

LOCK_SECONDS = 30.0


class Store:
    """Models by name, in Ollama's layout: ``manifests/<host>/<namespace>/<model>/<tag>`` and ``blobs/sha256-<hex>``.

    ``root`` is by default what OLLAMAX_MODELS says; it is made when the first model is added. Several processes may
    use one store; whoever changes it waits for the others, up to ``lock_timeout`` seconds. Names are compared
    without regard to case. Names are given as text or as ModelName; text that is none raises NameInvalidError.
    """

    def __init__(self, root: Path | None = None, *, lock_timeout: float = LOCK_SECONDS) -> None:
        self._shelf = Shelf(config.models_dir() if root is None else root, lock_timeout)

    @property
    def root(self) -> Path:
        """The directory of the store."""
        return self._shelf.root

    def list(self) -> list[StoredModel]:
        """All models whose manifests can be read, the one changed last first."""
        models = [entry for entry in self._entries() if isinstance(entry, StoredModel)]
        return sorted(models, key=lambda model: model.modified, reverse=True)

    def damage(self) -> Sequence[StoreError]:
        """An error for each manifest that cannot be read."""
        return [entry for entry in self._entries() if isinstance(entry, StoreError)]

    def find(self, name: ModelName | str) -> StoredModel | None:
        """The model called ``name``, or None; raises StoreError where its manifest is damaged."""
        with disk_errors(self.root):
            spelled = self._spelled(name)
            stored = self._shelf.manifests.read(spelled)
        return None if stored is None else StoredModel(spelled, stored, self._shelf.blobs)

    def __contains__(self, name: ModelName | str) -> bool:
        """Whether there is a model called ``name``, be its manifest damaged or not."""
        with disk_errors(self.root):
            return self._shelf.manifests.path(self._spelled(name)).is_file()

    def get(self, name: ModelName | str) -> StoredModel:
        """The model called ``name``; raises ModelNotFoundError with the names that are like it."""
        model = self.find(name)
        if model is None:
            raise self.not_found(name)
        return model

    def not_found(self, name: ModelName | str, others: tuple[str, ...] = ()) -> ModelNotFoundError:
        """The error for a name that neither the store nor ``others``, names of models elsewhere, know."""
        known = {str(found).removesuffix(":latest"): None for found in self._shelf.manifests.names()}
        near = difflib.get_close_matches(str(name), [*known, *others], n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? To make it:" if near else "see ollamax list, or make it:"
        return ModelNotFoundError(f"model '{name}' not found; {hint} ollamax create {name} -f Modelfile")

    def copy(self, source: ModelName | str, target: ModelName | str) -> None:
        """Give the model ``source`` the name ``target`` too; no blob is copied."""
        with disk_errors(self.root), self._shelf.locked():
            model = self.get(source)
            spelled = self._spelled(target)
            if spelled == model.name:
                raise UsageError(f"model '{source}' cannot be copied onto itself; give another name")
            for layer in model.stored.manifest.blobs:
                self._shelf.blobs.file(layer)
            self._shelf.manifests.write(spelled, model.stored.data)
            self._shelf.sweep()

    def remove(self, *names: ModelName | str) -> Sequence[ModelName]:
        """Remove models, and the blobs that no other uses; returns their names as they were spelled.

        All names are looked up before any is removed. A model whose manifest is damaged can be removed too.
        """
        with disk_errors(self.root), self._shelf.locked():
            spelled = list(dict.fromkeys(self._spelled(name) for name in names))
            for name in names:
                if name not in self:
                    raise self.not_found(name)
            for found in spelled:
                self._shelf.manifests.remove(found)
            self._shelf.sweep()
        return spelled

    def transaction(self) -> Transaction:
        """The way to add a model: ``with store.transaction() as t: ... t.commit(name, config, layers)``."""
        return Transaction(self._shelf)

    def blob_path(self, digest: str) -> Path:
        """Where the blob ``sha256:<hex>`` lies, or would lie; raises NameInvalidError for what is no digest."""
        return self._shelf.blobs.path(digest)

    def _spelled(self, name: ModelName | str) -> ModelName:
        return self._shelf.manifests.existing(ModelName.parse(name) if isinstance(name, str) else name)

    def _entries(self) -> Iterator[StoredModel | StoreError]:
        with disk_errors(self.root):
            for name in self._shelf.manifests.names():
                try:
                    stored = self._shelf.manifests.read(name)
                except StoreError as error:
                    yield error
                else:
                    if stored is not None:  # it may have been removed meanwhile
                        yield StoredModel(name, stored, self._shelf.blobs)
