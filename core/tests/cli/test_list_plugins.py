from __future__ import annotations

import json
import sys

import click
import pytest
from click.testing import CliRunner

from ollamax.cli import list_plugins as module
from ollamax.cli.command_table import CORE_NAMES
from ollamax.cli.list_plugins import list_plugins
from ollamax.plugins.report import Row

ROWS = [
    Row("ollamax-core", "0.1.0", ["standard"], {"pre-tokenizer": ["a", "b", "c", "d", "e", "f"]}, "ok", "", []),
    Row("poem", "1.0", ["poem"], {"architecture": ["poem"], "model": ["ode"]}, "ok", "", ["slow import: 1.2 s"]),
    Row("lyre", "2.0", ["lyre"], {"backend": ["lyre"]}, "unavailable", "backend 'lyre': no strings", []),
    Row("[red]odd[/red]", "", [], {}, "failed", "SyntaxError: invalid syntax", []),
]


class FakeManager:
    def report(self, reserved: frozenset[str]) -> list[Row]:
        assert reserved == CORE_NAMES
        return ROWS


@pytest.fixture(autouse=True)
def rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "get_manager", FakeManager)


def test_plain_table_is_aligned() -> None:
    shown = CliRunner().invoke(list_plugins, [])
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    assert [line[: lines[0].index("VERSION")].rstrip() for line in lines] == [
        "DISTRIBUTION",
        *(row.distribution for row in ROWS),
    ]
    assert [line[lines[0].index("STATUS") :] for line in lines] == [
        "STATUS",
        "ok",
        "ok (slow import: 1.2 s)",
        "unavailable: backend 'lyre': no strings",
        "failed: SyntaxError: invalid syntax",
    ]
    assert "pre-tokenizer a, b, c, d and 2 more" in lines[1]
    assert "architecture poem; model ode" in lines[2]


def test_json_holds_everything() -> None:
    shown = CliRunner().invoke(list_plugins, ["--json"])
    assert shown.exit_code == 0
    rows = json.loads(shown.output)
    assert [row["distribution"] for row in rows] == [row.distribution for row in ROWS]
    assert rows[1] == {
        "distribution": "poem",
        "version": "1.0",
        "entry_points": ["poem"],
        "provides": {"architecture": ["poem"], "model": ["ode"]},
        "status": "ok",
        "reason": "",
        "notes": ["slow import: 1.2 s"],
    }


def test_terminal_gets_a_table_that_fits(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    list_plugins.main([], standalone_mode=False)
    lines = click.unstyle(capsys.readouterr().out).splitlines()
    assert len(lines) > 5
    assert max(map(len, lines)) <= 90
    assert any("[red]odd[/red]" in line for line in lines)
