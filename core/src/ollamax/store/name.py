"""Model names: ``[[host/]namespace/]model[:tag]``."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path

from ollamax.errors import NameInvalidError

# The directory of models that were made here; Ollama puts its registry's host name in this place.
DEFAULT_HOST = "local"
DEFAULT_NAMESPACE = "library"
DEFAULT_TAG = "latest"

# Ollama's rules (types/model/name.go). No part can be ``..``, begin with a dot, or hold a separator.
_RULES = {
    "host": (re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}"), "1 to 350 letters, digits, _ - . :"),
    "namespace": (re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}"), "1 to 80 letters, digits, _ -"),
    "model": (re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"), "1 to 80 letters, digits, _ - ."),
    "tag": (re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"), "1 to 80 letters, digits, _ - ."),
}


@dataclass(frozen=True, slots=True, order=True)
class ModelName:
    """A full name, each of whose parts is valid and so safe as a file's name."""

    host: str
    namespace: str
    model: str
    tag: str

    def __post_init__(self) -> None:
        for field in fields(self):
            value, (pattern, rule) = getattr(self, field.name), _RULES[field.name]
            if not pattern.fullmatch(value):
                shown = value if len(value) <= 60 else value[:60] + "..."
                raise NameInvalidError(
                    f"model name: {field.name} {shown!r} is not valid; expected {rule}, of which the first is "
                    "a letter, digit or _, as in namespace/model:tag"
                )

    @classmethod
    def parse(cls, text: str) -> ModelName:
        """The name in ``text``, its missing parts filled in; raises NameInvalidError."""
        path, tag = text, DEFAULT_TAG
        if text.rfind(":") > text.rfind("/"):  # a colon further left belongs to the host's port
            path, _, tag = text.rpartition(":")
        *before, model = path.rsplit("/", 2)
        namespace = before.pop() if before else DEFAULT_NAMESPACE
        host = before.pop() if before else DEFAULT_HOST
        return cls(host, namespace, model, tag)

    @property
    def path(self) -> Path:
        """Where the manifest lies below the directory of manifests: host/namespace/model/tag."""
        return Path(self.host, self.namespace, self.model, self.tag)

    def __str__(self) -> str:
        """The shortest text that means this name, always with its tag."""
        text = f"{self.model}:{self.tag}"
        if self.host != DEFAULT_HOST:
            return f"{self.host}/{self.namespace}/{text}"
        return text if self.namespace == DEFAULT_NAMESPACE else f"{self.namespace}/{text}"
