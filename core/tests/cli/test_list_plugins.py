from __future__ import annotations

import json
import re
import sys

import click
import pytest
from click.testing import CliRunner

from ollamax.backend import Backend, Device, Probe, Rate, Rates
from ollamax.cli import list_plugins as module
from ollamax.cli.command_table import CORE_NAMES
from ollamax.cli.list_plugins import list_plugins
from ollamax.plugins import Registry
from ollamax.plugins.report import Row

ROWS = [
    Row("ollamax-core", "0.1.0", ["standard"], {"pre-tokenizer": ["a", "b", "c", "d", "e", "f"]}, "ok", "", []),
    Row("poem", "1.0", ["poem"], {"architecture": ["poem"], "model": ["ode"]}, "ok", "", ["slow import: 1.2 s"]),
    Row("lyre", "2.0", ["lyre"], {"backend": ["lyre"]}, "unavailable", "backend 'lyre': no strings", []),
    Row("[red]odd[/red]", "", [], {}, "failed", "SyntaxError: invalid syntax", []),
]


def lyre(name: str, probe: Probe) -> type[Backend]:
    return type(name, (Backend,), {"name": name, "probe": classmethod(lambda _: probe)})


RATES = {group: Rate(1.0, 0.9, 0.8) for group in ("Q4_0", "K")}
BACKENDS = {
    "a": lyre("a", Probe((Device("cpu", "x86", 2 * 10**9, 3.0, Rates(RATES | {"Q8_0": Rate(0.5, 0.5)}, "at home")),))),
    "b": lyre("b", Probe((Device("cpu", "x86", None, 1.0, Rates({"Q8_0": Rate(0.7, 0.6)}, "abroad")),))),
    "c": lyre("c", Probe((Device("gpu", "big", rank=9.0), Device("cpu", "x86", only_by_name="it is slow")))),
    "d": lyre("d", Probe(reason="the driver is missing")),
    "e": lyre("e", Probe(reason="LYRE is odd", wrong_setting=True)),
}


class FakeManager:
    def registry(self) -> Registry:
        return Registry(backends=BACKENDS)

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


def test_devices_have_rates_places_and_reasons() -> None:
    shown = CliRunner().invoke(list_plugins, ["--devices"])
    assert shown.exit_code == 0
    head, *lines = [re.split(r"    +", line.strip()) for line in shown.output.split("\n\n")[0].splitlines()]
    assert head == ["BACKEND", "DEVICE", "MEMORY", "Q4_0", "Q8_0", "K", "FLOAT", "PLACE", "WHY"]
    missing = ["-"] * 4
    assert lines == [
        ["c", "gpu", "-", *missing, "1", "big; rank 9; not measured"],
        [
            *("a", "cpu", "2 GB", "1.00/0.90/0.80", "0.50/0.50/1.00", "1.00/0.90/0.80", "-"),
            *("Q4_0 2, Q8_0 3, K 2, float 3, small 2", "x86; rank 3 and measured: at home"),
        ],
        [
            *("b", "cpu", "-", "-", "0.70/0.60/1.00", "-", "-"),
            *("Q4_0 3, Q8_0 2, K 3, float 2, small 3", "x86; rank 1 and measured: abroad"),
        ],
        ["c", "cpu", "-", *missing, "-", "x86; never taken by auto: it is slow"],
        ["d", "-", "-", *missing, "-", "cannot run here: the driver is missing"],
        ["e", "-", "-", *missing, "-", "cannot run here: LYRE is odd; auto is an error until this is set right"],
    ]


def test_devices_as_json() -> None:
    shown = CliRunner().invoke(list_plugins, ["--devices", "--json"])
    rows = json.loads(shown.output)
    assert [(row["backend"], row["device"]) for row in rows[:2]] == [("c", "gpu"), ("a", "cpu")]
    assert rows[1]["rates"]["Q4_0"] == {"prompt": 1.0, "decode": 0.9, "start": 0.8}
    assert rows[1]["places"] == {"Q4_0": 2, "Q8_0": 3, "K": 2, "float": 3, "small": 2}
    assert (rows[1]["memory"], rows[4]["places"], rows[4]["why"]) == (
        *(2 * 10**9, {}),
        "cannot run here: the driver is missing",
    )
