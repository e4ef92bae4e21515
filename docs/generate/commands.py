"""The page of the command line."""

from __future__ import annotations

import inspect

import click

from docstring import line
from ollamax import config
from ollamax.cli.command_table import ALIASES, COMMANDS
from ollamax.cli.main import cli
from table import code, table

_WIDTH = 100


def commands() -> str:
    """The help of every command of core, and the environment that they read."""
    root = _context(cli, "ollamax")
    parts = [
        "# Command line",
        "Exit status: 0 success, 1 an error, 2 a wrong call, 130 Ctrl-C, 143 SIGTERM. Plugins may add commands.",
        _help("ollamax", cli, None),
    ]
    for name in COMMANDS:
        command = cli.get_command(root, name)
        assert command is not None
        parts.append(_help(f"ollamax {name}", command, root))
    parts += [
        f"Other names: {', '.join(f'`{alias}` for `{name}`' for alias, name in ALIASES.items())}.",
        "## Environment",
        "A variable that turns something on does so with any value but 0, false, no and off.",
        table(["variable", "meaning"], _variables()),
    ]
    return "\n\n".join(parts)


def _context(command: click.Command, name: str, parent: click.Context | None = None) -> click.Context:
    settings = command.context_settings
    return click.Context(
        command, info_name=name, parent=parent, terminal_width=_WIDTH, max_content_width=_WIDTH, **settings
    )


def _help(title: str, command: click.Command, parent: click.Context | None) -> str:
    context = _context(command, title.rpartition(" ")[2], parent)
    text = "\n".join(row.rstrip() for row in command.get_help(context).splitlines())
    return f"## {title}\n\n```text\n{text}\n```"


def _variables() -> list[list[str]]:
    """Those that ``ollamax.config`` reads: a function whose docstring begins with the variable."""
    rows = []
    for _, function in inspect.getmembers(config, inspect.isfunction):
        text = line((function.__doc__ or "").partition("\n\n")[0])
        if text.startswith("`OLLAMAX_"):
            name, _, meaning = text.partition(": ")
            rows.append([code(name.strip("`")), meaning])
    return sorted(rows)
