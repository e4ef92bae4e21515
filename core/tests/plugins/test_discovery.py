from __future__ import annotations

from pathlib import Path

import pytest

from ollamax.errors import PluginError
from ollamax.plugins.candidate import Candidate, Status
from ollamax.plugins.discovery import discover


def put(folder: Path, name: str, entry_points: str | bytes, metadata: str | None = None) -> None:
    """Write the metadata of an installed distribution, as no installer would in the bad cases."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n" if metadata is None else metadata
    (info / "METADATA").write_text(text, encoding="utf-8")
    raw = entry_points.encode() if isinstance(entry_points, str) else entry_points
    (info / "entry_points.txt").write_bytes(raw)


def find(name: str) -> list[Candidate]:
    return [item for item in discover() if item.distribution == name]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_core_comes_first_then_known_packages_then_names(site: Path) -> None:
    put(site, "aardvark", "[ollamax]\naardvark = aardvark.plugin\n")
    put(site, "ollamax-plugin-qwen2", "[ollamax]\nqwen2 = ollamax_qwen2.plugin\n")
    names = [item.distribution for item in discover()]
    assert names[0] == "ollamax-core"
    assert names.index("ollamax-plugin-qwen2") < names.index("aardvark")
    rest = names[names.index("aardvark") :]
    assert rest == sorted(rest)


def test_each_entry_point_is_a_candidate(site: Path) -> None:
    put(site, "pair", "[console_scripts]\nx = a:b\n\n[ollamax]\ntwo = pair.two\none = pair.one:plugin\n")
    found = find("pair")
    assert [(item.name, item.version, item.status) for item in found] == [("one", "1.0", "ok"), ("two", "1.0", "ok")]
    assert [item.package for item in found] == ["pair", "pair"]


def test_first_distribution_on_the_path_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("far", "near"):
        put(tmp_path / folder, "twin", f"[ollamax]\n{folder} = twin.plugin\n")
        monkeypatch.syspath_prepend(tmp_path / folder)
    assert [item.name for item in find("twin")] == ["near"]


@pytest.mark.parametrize(
    ("entry_points", "reason"),
    [
        ("[ollamax]\nbad = not a module\n", "entry point 'bad': 'not a module' names no module"),
        ("[ollamax]\nbad = ../../etc/passwd\n", "entry point 'bad': '../../etc/passwd' names no module"),
        ("[ollamax]\nno equals sign\n", "metadata: TypeError"),
    ],
)
def test_malformed_entry_points_fail_their_distribution(site: Path, entry_points: str, reason: str) -> None:
    put(site, "malformed", entry_points)
    put(site, "good", "[ollamax]\ngood = good.plugin\n")
    (found,) = find("malformed")
    assert (found.status, found.dropped, found.version) == (Status.FAILED, True, "1.0")
    assert found.reason.startswith(reason)
    assert find("good")[0].status is Status.OK


def test_unreadable_metadata_of_others_is_none_of_our_business(site: Path) -> None:
    put(site, "other", b"[ollamax]\n\xff\xfe = x\n")
    assert find("other") == []


def test_distribution_without_a_name_is_shown_with_its_place(site: Path) -> None:
    put(site, "nameless", "[ollamax]\nx = nameless.plugin\n", metadata="Metadata-Version: 2.1\n")
    (found,) = [item for item in discover() if str(site) in item.distribution]
    assert found.distribution.startswith("(nameless, in ")


def test_distribution_without_a_version_fails(site: Path) -> None:
    put(site, "ageless", "[ollamax]\nx = ageless.plugin\n", metadata="Metadata-Version: 2.1\nName: ageless\n")
    (found,) = find("ageless")
    assert (found.version, found.status, found.dropped) == ("", Status.FAILED, True)
    assert "version" in found.reason.lower()


def test_selection_by_entry_point_or_distribution_keeps_core(site: Path) -> None:
    put(site, "pair", "[ollamax]\none = pair.one\ntwo = pair.two\n")
    put(site, "single", "[ollamax]\nlone = single.plugin\n")
    found = discover(frozenset({"two", "Single"}))
    assert [item.name for item in found] == ["standard-tokenizers", "two", "lone"]
    assert [item.name for item in discover(frozenset())] == ["standard-tokenizers"]


def test_selection_of_an_unknown_name(site: Path) -> None:
    put(site, "pair", "[ollamax]\none = pair.one\n")
    with pytest.raises(
        PluginError, match=r"names 'phantom', 'three', which is not installed; installed plugins: .*one"
    ):
        discover(frozenset({"three", "phantom", "one"}))
