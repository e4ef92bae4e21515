"""``ollamax list-plugins``: every installed plugin, what it provides, and why one does not work."""

from __future__ import annotations

from dataclasses import asdict

import click

from ollamax.cli.command_table import CORE_NAMES
from ollamax.cli.console import print_json, print_table
from ollamax.plugins import get_manager
from ollamax.plugins.report import Row

_SHOWN = 4


@click.command("list-plugins")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_plugins(as_json: bool) -> None:
    """List installed plugins: distribution, version, what each provides, and how it stands.

    The status is ok, "unavailable" when something outside the plugin is missing, or "failed".
    """
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
