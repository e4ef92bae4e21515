"""``ollamax list-plugins``: every installed plugin, what it provides, and why one does not work."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ollamax.cli.command_table import CORE_NAMES
from ollamax.cli.console import print_json, print_table
from ollamax.cli.size import format_size
from ollamax.plugins import get_manager
from ollamax.plugins.report import Row

if TYPE_CHECKING:
    from ollamax.plugins.devices import DeviceRow

_SHOWN = 4

_LEGEND = """
Rates are those of prompts, of decoding and of starting, as shares of llama.cpp's on the same processor.
PLACE is the order in which auto takes devices, by type of weights, and for small models (below 64 MiB)."""


@click.command("list-plugins")
@click.option("--devices", is_flag=True, help="List what backends compute on, and in which order auto takes it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_plugins(devices: bool, as_json: bool) -> None:
    """List installed plugins: distribution, version, what each provides, and how it stands.

    The status is ok, "unavailable" when something outside the plugin is missing, or "failed".
    """
    if devices:
        _list_devices(as_json)
        return
    rows = get_manager().report(CORE_NAMES)
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    print_table(
        ("DISTRIBUTION", "VERSION", "PROVIDES", "STATUS"),
        [(row.distribution, row.version, _provides(row), _status(row)) for row in rows],
    )


def _provides(row: Row) -> str:
    return "; ".join(f"{kind} {_shorten(names)}" for kind, names in row.provides.items()) or "-"


def _shorten(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _status(row: Row) -> str:
    status = f"{row.status}: {row.reason}" if row.reason else row.status
    return f"{status} ({'; '.join(row.notes)})" if row.notes else status


def _list_devices(as_json: bool) -> None:
    from ollamax.backend.device import GROUPS
    from ollamax.plugins.devices import device_rows

    rows = device_rows(get_manager().registry().backends)
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    print_table(
        ("BACKEND", "DEVICE", "MEMORY", *(group.upper() for group in GROUPS), "PLACE", "WHY"),
        [
            (
                row.backend,
                row.device or "-",
                "-" if row.memory is None else format_size(row.memory),
                *(_rate(row, group) for group in GROUPS),
                _place(row),
                f"{row.kind}; {row.why}" if row.kind else row.why,
            )
            for row in rows
        ],
    )
    click.echo(_LEGEND)


def _rate(row: DeviceRow, group: str) -> str:
    rate = row.rates.get(group)
    return "/".join(f"{rate[name]:.2f}" for name in ("prompt", "decode", "start")) if rate else "-"


def _place(row: DeviceRow) -> str:
    """One number where it is the same for all models."""
    places = set(row.places.values())
    if len(places) > 1:
        return ", ".join(f"{model} {place}" for model, place in row.places.items())
    return str(*places) or "-"
