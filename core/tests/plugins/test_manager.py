"""The manager in this process: what needs no built distribution."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from ollamax.errors import PluginError
from ollamax.plugins import get_manager, get_registry
from ollamax.plugins import manager as module
from ollamax.plugins.candidate import Candidate
from ollamax.plugins.manager import Manager

HOOK = "from ollamax.plugins import hookimpl\n@hookimpl\n"
_serial = itertools.count()

Make = Callable[[str], Candidate]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a candidate whose module holds the given source."""
    monkeypatch.syspath_prepend(tmp_path)

    def candidate(source: str) -> Candidate:
        module = f"candidate_{next(_serial)}"
        (tmp_path / f"{module}.py").write_text(source, encoding="utf-8")
        return Candidate(module, "1.0", module, EntryPoint(module, module, "ollamax"), ("ollamax-core",))

    return candidate


def test_ctrl_c_is_not_a_plugin_failure(make: Make) -> None:
    with pytest.raises(KeyboardInterrupt):
        Manager([make("raise KeyboardInterrupt")], strict=False)


def test_strict_mode_names_distribution_and_reason(make: Make) -> None:
    broken = make("raise RuntimeError('no beads')")
    with pytest.raises(PluginError, match=rf"{broken.distribution} 1\.0 failed: .*RuntimeError: no beads"):
        Manager([broken], strict=True)


def test_strict_mode_at_a_hook(make: Make) -> None:
    manager = Manager([make(HOOK + "def ollamax_models(): return 3")], strict=True)
    with pytest.raises(PluginError, match="returned an object of type int"):
        manager.registry()


def test_reason_stays_short(make: Make) -> None:
    broken = make("raise RuntimeError('x' * 100_000)")
    Manager([broken], strict=False)
    assert len(broken.reason) < 400


def test_deep_recursion_in_a_plugin(make: Make) -> None:
    broken = make(HOOK + "def ollamax_models(): return ollamax_models()")
    (row,) = Manager([broken], strict=False).report(())
    assert row.status == "failed"
    assert "RecursionError" in row.reason


def test_an_entry_point_may_name_an_object(make: Make) -> None:
    source = HOOK.replace("@hookimpl\n", "") + (
        "class Plugin:\n    @hookimpl\n    def ollamax_models(self): return []\nplugin = Plugin()\n"
    )
    item = make(source)
    item.entry_point = EntryPoint(item.name, f"{item.name}:plugin", "ollamax")
    (row,) = Manager([item], strict=False).report(())
    assert row.status == "ok"


def test_two_entry_points_of_one_module(make: Make) -> None:
    first = make(HOOK + "def ollamax_models(): return []")
    second = Candidate(first.distribution, "1.0", "again", first.entry_point, first.requires)
    (row,) = Manager([first, second], strict=False).report(())
    assert row.status == "failed"
    assert row.reason.startswith("again: ")
    assert row.entry_points == [first.name, "again"]


def test_registry_and_commands_are_made_once(make: Make) -> None:
    manager = Manager([make(HOOK + "def ollamax_models(): return []")], strict=False)
    assert manager.registry() is manager.registry()
    assert manager.commands(()) is manager.commands(())


@pytest.fixture
def fresh_process_state() -> Iterator[None]:
    module._manager.cache_clear()
    yield
    module._manager.cache_clear()


@pytest.mark.usefixtures("fresh_process_state")
def test_one_registry_for_each_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMAX_PLUGINS", "")
    monkeypatch.delenv("OLLAMAX_STRICT_PLUGINS", raising=False)
    registry = get_registry()
    assert get_registry() is registry
    assert registry.tokenizers
    assert not registry.architectures


def check_all_get_the_same(ask: Callable[[], object]) -> None:
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(ask())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(map(id, found))) == 1


def test_threads_that_ask_at_once_get_the_same(make: Make) -> None:
    slow = make(HOOK + "def ollamax_models(): import time; time.sleep(0.2); return []")
    check_all_get_the_same(Manager([slow], strict=True).registry)


@pytest.mark.usefixtures("fresh_process_state")
def test_the_first_manager_is_that_of_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(selected: object) -> list[Candidate]:
        time.sleep(0.2)
        return []

    monkeypatch.setattr(module, "discover", slowly)
    check_all_get_the_same(get_manager)
