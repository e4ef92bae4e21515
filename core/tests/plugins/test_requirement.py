from __future__ import annotations

import pytest

from ollamax.plugins.candidate import Candidate, Status
from ollamax.plugins.isolation import PluginFault
from ollamax.plugins.requirement import check_core_range, missing_module


def candidate(*requires: str) -> Candidate:
    return Candidate("poem", "1.0", requires=requires)


@pytest.mark.parametrize(
    "requirement",
    [
        "ollamax-core",
        "ollamax-core>=0.1,<0.2",
        "Ollamax.Core ~= 0.1.0",
        "ollamax-core==0.1.*",
        "ollamax-core>=9; python_version < '3'",
        "ollamax-core>=9; extra == 'future'",
    ],
)
def test_ranges_that_fit(requirement: str) -> None:
    poem = candidate("numpy", requirement)
    check_core_range(poem, "0.1.5")


def test_prerelease_of_core_fits() -> None:
    check_core_range(candidate("ollamax-core>=0.1"), "0.2.0.dev1")


@pytest.mark.parametrize("requirement", [">=0.2", "~=0.3", "==0.2.*", "==0.2", ">0.1,<0.1.4,>=0.2", "===0.2"])
def test_core_too_old(requirement: str) -> None:
    with pytest.raises(
        PluginFault, match=r"but 0\.1\.5 is running: core is too old; pip install --upgrade ollamax-core"
    ):
        check_core_range(candidate(f"ollamax-core{requirement}"), "0.1.5")


@pytest.mark.parametrize("requirement", ["<0.1", "~=0.0.9", "==0.1.4", "!=0.1.5", "<=0.1.4,>=0.1", "===zero"])
def test_plugin_too_old(requirement: str) -> None:
    with pytest.raises(PluginFault, match=r"poem is too old for this core; pip install --upgrade poem"):
        check_core_range(candidate(f"ollamax-core{requirement}"), "0.1.5")


def test_malformed_requirement() -> None:
    with pytest.raises(PluginFault, match=r"malformed requirement 'ollamax-core>>1'"):
        check_core_range(candidate("ollamax-core>>1"), "0.1.5")


def test_missing_module_names_every_requirement_that_is_absent() -> None:
    poem = candidate("pytest", "abacus[fast]>=2", "beads ; python_version >= '3'", "rods; extra == 'more'")
    status, reason = missing_module(poem, "abacus.core")
    assert status is Status.UNAVAILABLE
    assert reason == ("needs module 'abacus.core', which is not installed; pip install 'abacus[fast]>=2' 'beads'")
