"""The rows of ``ollamax list-plugins``: one for each distribution."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ollamax.plugins.candidate import Candidate, Status


@dataclass(frozen=True, slots=True)
class Row:
    """A distribution with all its entry points; ``status`` is the worst of theirs."""

    distribution: str
    version: str
    entry_points: list[str]
    provides: dict[str, list[str]]
    status: str
    reason: str
    notes: list[str]


def rows(candidates: Iterable[Candidate]) -> list[Row]:
    """One row for each distribution, in the order of ``candidates``."""
    groups: dict[str, list[Candidate]] = {}
    for item in candidates:
        groups.setdefault(item.distribution, []).append(item)
    return [_row(group) for group in groups.values()]


def _row(group: list[Candidate]) -> Row:
    provides: dict[str, list[str]] = {}
    for item in group:
        for kind, names in item.provides.items():
            provides.setdefault(kind, []).extend(names)
    alone = len(group) == 1
    return Row(
        distribution=group[0].distribution,
        version=group[0].version,
        entry_points=[item.name for item in group if item.name],
        provides=provides,
        status=max((item.status for item in group), key=list(Status).index).value,
        reason="; ".join(item.reason if alone else f"{item.name}: {item.reason}" for item in group if item.reason),
        notes=list(dict.fromkeys(note for item in group for note in item.notes)),
    )
