"""The commands of an interactive session: ``/set``, ``/show``, ``/clear`` and their help."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass

import click

from ollamax.cli.console import print_error
from ollamax.cli.line_editor import LineReader, read_fenced
from ollamax.cli.session import Session
from ollamax.cli.slash_show import SHOW_HELP, show
from ollamax.engine.options import TABLE, lookup, parameters, parse
from ollamax.errors import OllamaxError

HELP = """\
Available Commands:
  /set            Set session variables
  /show           Show model information
  /clear          Forget what was said
  /bye            Exit (also /exit and Ctrl-D)
  /?, /help       Help; /? set and /? show tell more

Use \"\"\" to begin and end a message of several lines.
Ctrl-C stops an answer.
"""
SET_HELP = """\
Available Commands:
  /set parameter NAME VALUE...  Set a parameter; without a name, list them
  /set system TEXT              Set the system message
  /set history, nohistory       Keep lines for the next session, or do not
  /set wordwrap, nowordwrap     Wrap lines at words, or do not
  /set verbose, quiet           Show timings, or do not
"""


@dataclass(slots=True)
class Settings:
    """What the session's screen does, apart from the conversation."""

    verbose: bool = False
    wrap: bool = True


class Commands:
    """Runs one line that begins with a slash."""

    def __init__(self, session: Session, settings: Settings, reader: LineReader) -> None:
        self._session, self._settings, self._reader = session, settings, reader
        self._commands: dict[str, Callable[[str], None]] = {
            "/set": self._set,
            "/show": lambda topic: show(self._session, topic),
            "/clear": self._clear,
            "/help": self._help,
            "/?": self._help,
        }

    def run(self, line: str) -> None:
        """Do what ``line`` says and print what came of it; nothing that is typed ends the session."""
        name, _, rest = line.partition(" ")
        command = self._commands.get(name.strip())
        if command is None:
            click.echo(f"Unknown command '{name.strip()}'. Type /? for help")
            return
        try:
            command(rest.strip())
        except OllamaxError as error:
            print_error(str(error))

    def _help(self, topic: str) -> None:
        topics = {"": HELP, "set": SET_HELP, "/set": SET_HELP, "show": SHOW_HELP, "/show": SHOW_HELP}
        click.echo(topics.get(topic, HELP), nl=False)

    def _clear(self, _: str) -> None:
        self._session.messages = []
        click.echo("Cleared session context")

    def _set(self, rest: str) -> None:
        name, _, value = rest.partition(" ")
        switches = {"verbose": ("verbose", True), "quiet": ("verbose", False)}
        switches |= {"wordwrap": ("wrap", True), "nowordwrap": ("wrap", False)}
        if name in switches:
            setattr(self._settings, *switches[name])
            click.echo(f"Set '{name}' mode.")
        elif name in ("history", "nohistory"):
            self._reader.keep_history(name == "history")
            click.echo(f"Set '{name}' mode.")
        elif name == "parameter":
            self._set_parameter(value.strip())
        elif name == "system" and value.strip():
            self._session.system = read_fenced(value.strip(), self._reader)
            click.echo("Set system message.")
        elif name and name != "system":
            click.echo(f"Unknown command '/set {name}'. Type /? set for help")
        else:
            click.echo(SET_HELP, nl=False)

    def _set_parameter(self, text: str) -> None:
        try:
            words = shlex.split(text)
        except ValueError:  # a quote that does not end
            print_error("/set parameter: a quote is not closed")
            return
        if len(words) < 2:
            click.echo("Available Parameters:")
            for option in TABLE.values():
                click.echo(f"  /set parameter {option.name:<18} {option.doc}")
            return
        name, *values = words
        if lookup(name).kind != "texts" and len(values) > 1:
            print_error(f"parameter {name} takes one value")
            return
        ((name, value),) = parse(parameters({name: values})).items()
        self._session.set_option(name, value)
        click.echo(f"Set parameter '{name}' to '{', '.join(values)}'")
