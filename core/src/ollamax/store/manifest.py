"""Manifests: the list of blobs that make up a model."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from ollamax.errors import NameInvalidError, StoreError

MAX_BYTES = 4 * 2**20
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class MediaType(StrEnum):
    """What a blob holds, in Ollama's words."""

    CONFIG = "application/vnd.docker.container.image.v1+json"
    MODEL = "application/vnd.ollama.image.model"
    TEMPLATE = "application/vnd.ollama.image.template"
    SYSTEM = "application/vnd.ollama.image.system"
    PARAMS = "application/vnd.ollama.image.params"
    MESSAGES = "application/vnd.ollama.image.messages"
    LICENSE = "application/vnd.ollama.image.license"


def check_digest(digest: str) -> str:
    """``digest`` itself, if it has the form ``sha256:`` and 64 hex digits; raises NameInvalidError."""
    if not _DIGEST.fullmatch(digest):
        raise NameInvalidError(f"digest {digest[:80]!r} is not valid; expected sha256: and 64 lower-case hex digits")
    return digest


@dataclass(frozen=True, slots=True)
class Layer:
    """One blob of a model: its media type, digest and size in bytes. ``media_type`` may be one we do not know."""

    media_type: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """A model's config and layers."""

    config: Layer
    layers: tuple[Layer, ...]

    @property
    def blobs(self) -> tuple[Layer, ...]:
        """Everything that the model refers to."""
        return (*self.layers, self.config)

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return sum(layer.size for layer in self.blobs)

    def of_type(self, media_type: MediaType) -> list[Layer]:
        """The layers of one type, in order."""
        return [layer for layer in self.layers if layer.media_type == media_type]

    def to_json(self) -> bytes:
        """The manifest as stored."""
        config, *layers = (
            {"mediaType": str(layer.media_type), "digest": layer.digest, "size": layer.size}
            for layer in (self.config, *self.layers)
        )
        document = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": layers}
        return json.dumps(document, separators=(",", ":")).encode()


def read_manifest(data: bytes, path: Path) -> Manifest:
    """The manifest in ``data``, which was read from ``path``; raises StoreError naming the file and the fault."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise damaged(path, "it is no JSON") from error
    if not isinstance(document, dict) or document.get("schemaVersion") != 2:
        raise damaged(path, "it has no schemaVersion 2")
    layers = document.get("layers")
    if not isinstance(layers, list):
        raise damaged(path, "it has no list of layers")
    return Manifest(
        _read_layer(document.get("config"), "config", path),
        tuple(_read_layer(layer, f"layer {index}", path) for index, layer in enumerate(layers)),
    )


def damaged(path: Path, problem: str) -> StoreError:
    """The error for a manifest that cannot be used."""
    return StoreError(f"{path}: the manifest is damaged: {problem}; create the model anew, or remove it")


def _read_layer(value: Any, where: str, path: Path) -> Layer:
    if not isinstance(value, dict):
        raise damaged(path, f"{where} is no object")
    media_type, digest, size = value.get("mediaType"), value.get("digest"), value.get("size")
    if not isinstance(media_type, str):
        raise damaged(path, f"{where} has no mediaType")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise damaged(path, f"{where} has no sha256 digest")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 2**63:
        raise damaged(path, f"{where} has no size")
    return Layer(media_type, digest, size)
