"""What commands print: one-line errors, tables and JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from ollamax.errors import one_line


def print_error(message: str) -> None:
    """``Error: message`` on stderr, on one line, whatever a file or a plugin wrote into it."""
    print(f"Error: {one_line(message)}", file=sys.stderr)


def print_warning(message: str) -> None:
    """``Warning: message`` on stderr, on one line."""
    print(f"Warning: {one_line(message)}", file=sys.stderr)


def print_json(value: Any) -> None:
    """``value`` as indented JSON on stdout."""
    print(json.dumps(value, indent=2))


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout: wrapped to the window on a terminal, one plain line for each row elsewhere."""
    if sys.stdout.isatty():
        _print_rich(headers, rows)
        return
    lines = [list(headers), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("    ".join(cells).rstrip())


def _print_rich(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    # rich takes 50 ms to import; only a terminal needs it.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 4, 0, 0), header_style="bold")
    for header in headers:
        table.add_column(header, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)
