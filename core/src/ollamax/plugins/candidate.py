"""One entry point of one distribution, and what became of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

CORE = "ollamax-core"


def normal_name(name: str) -> str:
    """A distribution's name as packages are compared (PEP 503): lower case, with single hyphens."""
    return re.sub(r"[-_.]+", "-", name).lower()


class Status(StrEnum):
    """How a plugin stands; the value is what ``ollamax list-plugins`` prints."""

    OK = "ok"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"


@dataclass(eq=False)
class Candidate:
    """A plugin from discovery to registration.

    ``requires`` holds the distribution's requirements as in its metadata. ``provides`` maps a kind, such as
    "architecture", to names. ``dropped`` means that the plugin takes part no more; a backend that cannot run on
    this machine is unavailable but not dropped.
    """

    distribution: str
    version: str
    name: str = ""
    entry_point: EntryPoint | None = None
    requires: tuple[str, ...] = ()
    status: Status = Status.OK
    reason: str = ""
    dropped: bool = False
    notes: list[str] = field(default_factory=list)
    provides: dict[str, list[str]] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Distribution and version, for messages."""
        return f"{self.distribution} {self.version}".strip()

    @property
    def is_core(self) -> bool:
        """Whether this is core itself, whose names are built in."""
        return normal_name(self.distribution) == CORE

    @property
    def package(self) -> str:
        """The top-level package of the entry point."""
        return self.entry_point.module.partition(".")[0] if self.entry_point else ""

    def drop(self, status: Status, reason: str) -> None:
        """Take the plugin out, with all that it provides."""
        self.status, self.reason, self.dropped = status, reason, True
        self.provides.clear()
