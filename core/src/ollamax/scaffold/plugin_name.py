"""What a new plugin, its package and its classes are called."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec

from ollamax.errors import UsageError

_LONGEST = 20
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


class PluginKind(StrEnum):
    """What a plugin adds."""

    ARCHITECTURE = "architecture"
    BACKEND = "backend"
    TOKENIZER = "tokenizer"

    @property
    def infix(self) -> str:
        """Stands between ``ollamax`` and the name."""
        return "plugin" if self is PluginKind.ARCHITECTURE else self.value


@dataclass(frozen=True, slots=True)
class PluginName:
    """The forms of one name; ``name`` is an identifier in small letters.

    Raises UsageError for any other.
    """

    name: str
    kind: PluginKind

    def __post_init__(self) -> None:
        if len(self.name) > _LONGEST or not _NAME.fullmatch(self.name) or keyword.iskeyword(self.name):
            raise UsageError(
                f"{self.name!r:.80} cannot be the name of a plugin; expected small letters and digits, with single "
                f"underscores between words, at most {_LONGEST} characters, such as phi3 or my_model"
            )

    @property
    def class_name(self) -> str:
        """Of the main class: ``my_model`` is ``MyModel``."""
        return "".join(part.capitalize() for part in self.name.split("_"))

    @property
    def distribution(self) -> str:
        """What pip calls the package."""
        return f"ollamax-{self.kind.infix}-{self.name.replace('_', '-')}"

    @property
    def module(self) -> str:
        """What Python calls it."""
        return f"ollamax_{self.name}" if self.kind is PluginKind.ARCHITECTURE else f"ollamax_{self.kind}_{self.name}"

    @property
    def folder(self) -> str:
        """Its folder in ``plugins/`` of a checkout of ollamax."""
        base = self.name.replace("_", "-")
        return base if self.kind is PluginKind.ARCHITECTURE else f"{self.kind}-{base}"

    def check_free(self) -> None:
        """Raise UsageError where the package is installed already."""
        if find_spec(self.module) is not None:
            raise UsageError(f"there is a package {self.module} already; choose another name than {self.name!r}")
