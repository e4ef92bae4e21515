"""A model in the store."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ollamax.errors import StoreError
from ollamax.store.blobs import BlobDirectory
from ollamax.store.manifest import Layer, MediaType
from ollamax.store.manifests import StoredManifest
from ollamax.store.name import ModelName
from ollamax.types import Message

_KNOWN = frozenset(MediaType)


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A named model: its manifest, and what the blobs hold, which is read and checked when it is asked for.

    Every property that reads a blob raises StoreError where that is missing or damaged.
    """

    name: ModelName
    stored: StoredManifest
    blobs: BlobDirectory

    @property
    def id(self) -> str:
        """The first 12 hex digits of the manifest's SHA-256, as ``ollama list`` shows it."""
        return self.stored.digest[:12]

    @property
    def digest(self) -> str:
        """The manifest's SHA-256 in hex."""
        return self.stored.digest

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return self.stored.manifest.size

    @property
    def modified(self) -> datetime.datetime:
        """When the name was last given to a model, in UTC."""
        return datetime.datetime.fromtimestamp(self.stored.modified, datetime.UTC)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers, for a model that is built on this one."""
        return self.stored.manifest.layers

    @property
    def model_path(self) -> Path:
        """The GGUF file."""
        # A layer that we do not know, such as an adapter, makes another model of the file.
        unknown = sorted({layer.media_type for layer in self.layers if layer.media_type not in _KNOWN})
        if unknown:
            raise StoreError(f"model {self.name}: layers of type {unknown[0][:80]!r} are not supported")
        files = self.stored.manifest.of_type(MediaType.MODEL)
        if len(files) != 1:
            raise StoreError(f"model {self.name}: it has {len(files)} model files where one was expected")
        return self.blobs.file(files[0])

    @property
    def template(self) -> str | None:
        """The Go template of the Modelfile."""
        return self._text(MediaType.TEMPLATE)

    @property
    def system(self) -> str | None:
        """The default system message."""
        return self._text(MediaType.SYSTEM)

    @property
    def licenses(self) -> list[str]:
        """The licences' texts."""
        return [self._decoded(layer) for layer in self.stored.manifest.of_type(MediaType.LICENSE)]

    @property
    def params(self) -> dict[str, Any]:
        """The options of PARAMETER lines: numbers, strings, or lists of strings."""
        layers = self.stored.manifest.of_type(MediaType.PARAMS)
        values = self._json(layers[-1]) if layers else {}
        if not isinstance(values, dict) or not all(map(_is_option, values.values())):
            raise self._odd(layers[-1], "an object of numbers, strings and lists of strings")
        return values

    @property
    def messages(self) -> list[Message]:
        """The turns of MESSAGE lines, with which every chat begins."""
        layers = self.stored.manifest.of_type(MediaType.MESSAGES)
        turns = self._json(layers[-1]) if layers else []
        if not isinstance(turns, list) or not all(map(_is_turn, turns)):
            raise self._odd(layers[-1], "a list of objects with role and content")
        return [Message(turn["role"], turn["content"]) for turn in turns]

    @property
    def config(self) -> dict[str, Any]:
        """What the config blob says: model_family, model_type (size), file_type (quantisation) and more."""
        layer = self.stored.manifest.config
        values = self._json(layer)
        if not isinstance(values, dict):
            raise self._odd(layer, "an object")
        return values

    def _text(self, media_type: MediaType) -> str | None:
        layers = self.stored.manifest.of_type(media_type)
        return self._decoded(layers[-1]) if layers else None

    def _decoded(self, layer: Layer) -> str:
        try:
            return self.blobs.read(layer).decode()
        except UnicodeDecodeError as error:
            raise self._odd(layer, "UTF-8 text") from error

    def _json(self, layer: Layer) -> Any:
        try:
            return json.loads(self.blobs.read(layer))
        except (ValueError, RecursionError) as error:
            raise self._odd(layer, "JSON") from error

    def _odd(self, layer: Layer, expected: str) -> StoreError:
        return StoreError(f"{self.blobs.path(layer.digest)} of model {self.name}: {expected} was expected")


def _is_option(value: object) -> bool:
    return isinstance(value, int | float | str) or (
        isinstance(value, list) and all(isinstance(item, str) for item in value)
    )


def _is_turn(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(key), str) for key in ("role", "content"))
