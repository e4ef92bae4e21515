"""Checks what a distribution requires: the range of ollamax-core, and modules that turn out to be missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import Specifier
from packaging.version import InvalidVersion, Version

from ollamax import __version__
from ollamax.plugins.candidate import CORE, Candidate, Status, normal_name
from ollamax.plugins.isolation import PluginFault


def check_core_range(candidate: Candidate, core_version: str) -> None:
    """Raise PluginFault unless the ollamax-core range that the distribution declares holds ``core_version``."""
    core = Version(core_version)
    declared = [item for item in _applicable(candidate.requires) if normal_name(item.name) == CORE]
    if not declared and not candidate.is_core:
        candidate.notes.append(f"declares no range of {CORE}")
    for item in declared:
        broken = [part for part in item.specifier if not part.contains(core, prereleases=True)]
        if not broken:
            continue
        needs = f"needs {CORE}{item.specifier}, but {core} is running"
        if any(_wants_newer(part, core) for part in broken):
            raise PluginFault(f"{needs}: core is too old; pip install --upgrade {CORE}")
        raise PluginFault(
            f"{needs}: {candidate.distribution} is too old for this core; "
            f"pip install --upgrade {candidate.distribution}"
        )


def missing_module(candidate: Candidate, module: str) -> tuple[Status, str]:
    """Status and reason of a plugin whose import ended at ``module``."""
    top = module.partition(".")[0]
    if top == candidate.package:
        return Status.FAILED, f"its own module {module!r} does not exist; reinstall {candidate.distribution}"
    if top == "ollamax":
        return Status.FAILED, f"imports {module!r}, which {CORE} {__version__} does not have"
    absent = [f"'{item}'" for item in _applicable(candidate.requires) if not _is_installed(item.name)]
    way_out = f"pip install {' '.join(absent)}" if absent else f"pip install the package that holds {top!r}"
    return Status.UNAVAILABLE, f"needs module {module!r}, which is not installed; {way_out}"


def _applicable(requires: Sequence[str]) -> Iterator[Requirement]:
    for line in requires:
        try:
            item = Requirement(line)
        except InvalidRequirement as error:
            raise PluginFault(f"its metadata has a malformed requirement {line!r}") from error
        if item.marker is None or item.marker.evaluate({"extra": ""}):
            item.marker = None
            yield item


def _wants_newer(part: Specifier, core: Version) -> bool:
    try:
        return Version(part.version.removesuffix(".*")) > core
    except InvalidVersion:  # === may compare with any text
        return False


def _is_installed(distribution: str) -> bool:
    try:
        metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
