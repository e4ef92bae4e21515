"""Finds the entry points of the group ``ollamax`` in one pass over the installed distributions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata

from ollamax.errors import PluginError
from ollamax.plugins import index
from ollamax.plugins.candidate import CORE, Candidate, normal_name
from ollamax.plugins.isolation import PluginFault, isolated

GROUP = "ollamax"
_MODULE = re.compile(r"[\w.]+(\s*:\s*[\w.]+)?(\s*\[[^\]]*\])?")


def discover(selected: frozenset[str] | None = None) -> list[Candidate]:
    """All plugins, in the order in which they may claim names.

    Core comes first, then the packages of the shipped index, then all others by name: so a name's owner does not
    depend on the order of ``sys.path``. ``selected`` holds entry points or distributions to keep; core's own are
    always kept. Raises PluginError for a selected name that is not installed.
    """
    found = sorted(_candidates(), key=_precedence)
    if selected is None:
        return found
    wanted = {normal_name(name): name for name in selected}
    known = {normal_name(name) for item in found for name in (item.distribution, item.name)}
    if unknown := sorted(wanted[name] for name in wanted.keys() - known):
        installed = ", ".join(sorted({item.name or item.distribution for item in found})) or "none"
        raise PluginError(
            f"OLLAMAX_PLUGINS names {', '.join(map(repr, unknown))}, which is not installed; "
            f"installed plugins: {installed}"
        )
    keep = wanted.keys() | {CORE}
    return [item for item in found if {normal_name(item.distribution), normal_name(item.name)} & keep]


def _precedence(item: Candidate) -> tuple[int, str, str]:
    name = normal_name(item.distribution)
    rank = 0 if item.is_core else 1 if name in index.distributions() else 2
    return rank, name, item.name


def _candidates() -> Iterator[Candidate]:
    seen = set()
    for distribution in metadata.distributions():
        # A look at the text spares the parsers for all the distributions that are no plugins.
        if f"[{GROUP}]" not in _entry_points_text(distribution):
            continue
        name = _name(distribution)
        if normal_name(name) not in seen:  # the first on sys.path is the one that is imported
            seen.add(normal_name(name))
            yield from _of_distribution(name, distribution)


def _entry_points_text(distribution: metadata.Distribution) -> str:
    try:
        return distribution.read_text("entry_points.txt") or ""
    except (OSError, UnicodeDecodeError):  # some other package's damage, as far as anyone can tell
        return ""


def _name(distribution: metadata.Distribution) -> str:
    try:
        name = distribution.name
    except Exception:  # what a damaged METADATA raises differs between Python versions
        name = None
    return name or f"(nameless, in {distribution.locate_file('')})"


def _of_distribution(name: str, distribution: metadata.Distribution) -> Iterator[Candidate]:
    whole = Candidate(name, "")
    points: list[metadata.EntryPoint] = []
    with isolated(whole, "metadata"):
        whole.version = distribution.version or ""
        if not whole.version:
            raise PluginFault(f"its metadata has no version; reinstall {name}")
        whole.requires = tuple(distribution.requires or ())
        points = [point for point in distribution.entry_points if point.group == GROUP]
        for point in points:
            if not _MODULE.fullmatch(point.value):
                raise PluginFault(f"entry point {point.name!r}: {point.value!r} names no module")
    if whole.dropped:
        yield whole
    else:
        for point in points:
            yield Candidate(name, whole.version, point.name, point, whole.requires)
