"""The interactive session of ``ollamax run``."""

from __future__ import annotations

import sys

import click

from ollamax.cli.console import print_error
from ollamax.cli.line_editor import LineReader, read_fenced
from ollamax.cli.printer import Printer
from ollamax.cli.session import Session
from ollamax.cli.slash import Commands, Settings
from ollamax.cli.timings import timing_lines
from ollamax.errors import OllamaxError

PROMPT = ">>> "


def converse(session: Session, settings: Settings, reader: LineReader) -> None:
    """Read messages and commands until ``/bye`` or the end of input, and print the answers."""
    commands = Commands(session, settings, reader)
    try:
        while True:
            try:
                line = reader.read(PROMPT)
                if line.strip() in ("/bye", "/exit"):
                    return
                if line.startswith("/"):
                    commands.run(line)
                    continue
                text = read_fenced(line, reader)
            except EOFError:
                click.echo()
                return
            except KeyboardInterrupt:
                click.echo("\nUse Ctrl-D or /bye to exit.")
                continue
            except UnicodeDecodeError:
                print_error("what was typed is not UTF-8")
                continue
            if text.strip():
                _answer(session, settings, text)
    finally:
        reader.close()


def _answer(session: Session, settings: Settings, text: str) -> None:
    try:
        answer = session.ask(text, Printer(sys.stdout, settings.wrap))
    except OllamaxError as error:
        print_error(str(error))
        return
    click.echo()
    if settings.verbose and answer.stats:
        for line in timing_lines(answer.stats, session.model):
            click.echo(line, err=True)
        click.echo(err=True)
