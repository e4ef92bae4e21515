"""The command ``ollamax``: finds the subcommand, and turns every error into one line and an exit status."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

import click

from ollamax import __version__, config
from ollamax.cli.command_table import ALIASES, COMMANDS, CORE_NAMES
from ollamax.cli.console import print_error
from ollamax.cli.own_process import own_process
from ollamax.cli.streams import prepare_streams
from ollamax.errors import OllamaxError


class _Group(click.Group):
    """Imports a command of core when it is run, and plugins when help or an unknown name asks for them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return [*COMMANDS, *sorted(self._plugin_commands())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        entry = COMMANDS.get(ALIASES.get(cmd_name, cmd_name))
        if entry is None:
            return self._plugin_commands().get(cmd_name)
        module, _, attribute = entry.location.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        from ollamax.plugins.validation import HELP_WIDTH

        rows = [(name, entry.help) for name, entry in COMMANDS.items()]
        for name, command in sorted(self._plugin_commands().items()):
            if not command.hidden:
                rows.append((name, command.get_short_help_str(HELP_WIDTH)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> None:
        # What a command returns is not an exit status, which click's main would take it for.
        super().invoke(ctx)

    def _plugin_commands(self) -> dict[str, click.Command]:
        from ollamax.plugins import get_manager

        return get_manager().commands(CORE_NAMES)


@click.group(cls=_Group, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-v", "--version", prog_name="ollamax", message="%(prog)s version is %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Run language models locally from pip-installable parts."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``ollamax`` with ``arguments`` (by default those of the process) and return the exit status.

    0 is success, 1 an error, 2 a wrong call, 130 Ctrl-C; SIGTERM raises SystemExit with 143. An error is one line on
    stderr; ``OLLAMAX_DEBUG=1`` adds the traceback.
    """
    prepare_streams()
    try:
        with own_process():
            status = cli.main(arguments, prog_name="ollamax", standalone_mode=False)
            sys.stdout.flush()
    except (BrokenPipeError, click.exceptions.Abort, KeyboardInterrupt) as error:
        return _stopped(error)
    except Exception as error:
        if config.debug():
            traceback.print_exception(error)
        return _report(error)
    return status or 0


def _report(error: Exception) -> int:
    if isinstance(error, OllamaxError):
        print_error(str(error))
        return error.exit_code
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "ollamax"
        print_error(f"{error.format_message().rstrip('.')}; try '{command} --help'")
        return error.exit_code
    if isinstance(error, click.ClickException):
        print_error(error.format_message())
        return error.exit_code
    if isinstance(error, OSError) and error.strerror:
        print_error(error.strerror + (f": {error.filename}" if error.filename else ""))
        return 1
    if isinstance(error, MemoryError):
        print_error("the memory is used up; take a smaller model, a smaller num_ctx, or end other programs")
        return 1
    print_error(f"internal error: {type(error).__name__}: {error}; set OLLAMAX_DEBUG=1 for the traceback")
    return 1


def _stopped(error: BaseException) -> int:
    """The status after the reader of our output went away, after Ctrl-C, or at the end of a prompt's input."""
    if isinstance(error, BrokenPipeError):
        # Python flushes stdout once more at exit, which would fail again and print.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    interrupted = isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt)
    return 130 if interrupted else 1
