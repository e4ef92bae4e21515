"""Who owns a name: the first plugin that claims it."""

from __future__ import annotations

from collections.abc import Iterable

from ollamax.plugins.candidate import Candidate
from ollamax.plugins.isolation import PluginFault
from ollamax.plugins.validation import Provided


class Claims:
    """The names taken so far, by kind; a name of one kind may recur in another."""

    def __init__(self) -> None:
        self._owners: dict[tuple[str, str], Candidate] = {}

    def take(self, candidate: Candidate, provided: Iterable[Provided]) -> None:
        """Claim all names for ``candidate``, or raise PluginFault and claim none."""
        fresh: dict[tuple[str, str], Candidate] = {}
        for item in provided:
            for name in item.names:
                key = (item.kind, name)
                if key in fresh:
                    raise PluginFault(f"provides the {item.kind} {name!r} twice")
                if owner := self._owners.get(key):
                    raise PluginFault(f"claims the {item.kind} {name!r}, which {_belongs(owner)}")
                fresh[key] = candidate
        self._owners.update(fresh)
        for kind, name in fresh:
            candidate.provides.setdefault(kind, []).append(name)


def _belongs(owner: Candidate) -> str:
    return f"is built into {owner.label}" if owner.is_core else f"belongs to {owner.label}"
