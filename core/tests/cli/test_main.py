from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from ollamax import __version__
from ollamax.cli import command_table
from ollamax.cli import main as main_module
from ollamax.cli.command_table import COMMANDS, Entry
from ollamax.cli.main import main
from ollamax.errors import NameInvalidError, StoreError

Install = Callable[[Callable[[], object]], None]


@pytest.fixture(autouse=True)
def no_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main_module._Group, "_plugin_commands", lambda _self: {})
    monkeypatch.delenv("OLLAMAX_DEBUG", raising=False)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a function into the table as the command ``probe``."""

    def put(function: Callable[[], object]) -> None:
        monkeypatch.setattr(main_module, "probe", click.command("probe")(function), raising=False)
        monkeypatch.setitem(COMMANDS, "probe", Entry("ollamax.cli.main:probe", "Probe."))

    return put


def raising(error: BaseException) -> Callable[[], object]:
    def function() -> None:
        raise error

    return function


def test_help_lists_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr()
    assert all(f"  {name} " in shown.out and entry.help in shown.out for name, entry in COMMANDS.items())
    assert shown.err == ""


def test_without_arguments_prints_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "Commands:" in capsys.readouterr().out


@pytest.mark.parametrize("flag", ["-v", "--version"])
def test_version(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([flag]) == 0
    assert capsys.readouterr().out == f"ollamax version is {__version__}\n"


def test_help_survives_a_missing_module(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(COMMANDS, "later", Entry("ollamax.cli.later:later", "Comes later."))
    assert main(["--help"]) == 0
    assert "Comes later." in capsys.readouterr().out
    assert main(["later"]) == 1
    assert "internal error: ModuleNotFoundError" in capsys.readouterr().err


def test_aliases_stand_for_commands_of_the_table() -> None:
    assert set(command_table.ALIASES.values()) <= COMMANDS.keys()
    assert set(command_table.ALIASES) | set(COMMANDS) == command_table.CORE_NAMES


def test_alias_runs_its_command(
    install: Install, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(lambda: print("ran"))
    monkeypatch.setitem(command_table.ALIASES, "p", "probe")
    assert main(["p"]) == 0
    assert capsys.readouterr().out == "ran\n"


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (StoreError("store: locked\nby another"), 1, "store: locked by another"),
        (NameInvalidError("'..' is no name"), 2, "'..' is no name"),
        (click.ClickException("no"), 1, "no"),
        (click.BadParameter("too large"), 2, "Invalid value: too large; try 'ollamax probe --help'"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "blob"), 1, "No space left on device: blob"),
        (MemoryError(), 1, "the memory is used up; take a smaller model, a smaller num_ctx, or end other programs"),
        (
            ValueError("\x1b[31mred\nline"),
            1,
            "internal error: ValueError: [31mred line; set OLLAMAX_DEBUG=1 for the traceback",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_is_one_line(
    error: Exception, status: int, message: str, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install(raising(error))
    assert main(["probe"]) == status
    shown = capsys.readouterr()
    assert shown.err == f"Error: {message}\n"
    assert shown.out == ""


def test_traceback_when_debugging(
    install: Install, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OLLAMAX_DEBUG", "1")
    install(raising(StoreError("store: locked")))
    assert main(["probe"]) == 1
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert shown.endswith("Error: store: locked\n")


def test_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sing"]) == 2
    assert capsys.readouterr().err == "Error: No such command 'sing'; try 'ollamax --help'\n"


def test_unknown_option_of_a_command(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install(lambda: None)
    assert main(["probe", "--loud"]) == 2
    assert capsys.readouterr().err == "Error: No such option '--loud'; try 'ollamax probe --help'\n"


def test_ctrl_c_is_quiet(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install(raising(KeyboardInterrupt()))
    assert main(["probe"]) == 130
    shown = capsys.readouterr()
    assert (shown.out, shown.err.strip()) == ("", "")


def ask() -> None:
    click.prompt("name")


def test_end_of_input_at_a_prompt(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    install(ask)
    assert main(["probe"]) == 1


def test_what_a_command_returns_is_no_status(install: Install) -> None:
    install(lambda: 7)
    assert main(["probe"]) == 0


def leave() -> None:
    click.get_current_context().exit(3)


def test_a_command_chooses_its_status(install: Install) -> None:
    install(leave)
    assert main(["probe"]) == 3


@pytest.mark.skipif(os.name == "nt", reason="pipes break differently on Windows")
@pytest.mark.parametrize("lines", [1, 100_000], ids=["at the last flush", "while printing"])
def test_reader_that_goes_away(lines: int) -> None:
    code = (
        "import sys, click; from ollamax.cli import main as m; from ollamax.cli.command_table import COMMANDS, Entry\n"
        f"m.probe = click.command('probe')(lambda: [print('line') for _ in range({lines})] and None)\n"
        "COMMANDS['probe'] = Entry('ollamax.cli.main:probe', '')\n"
        "sys.exit(m.main(['probe']))"
    )
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run([sys.executable, "-c", code], check=False, stdout=write, stderr=subprocess.PIPE)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def run_in_shell(arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    code = "from ollamax.cli.main import main; raise SystemExit(main())"
    return subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {arguments}', sys.executable, code],
        capture_output=True,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell closes the streams")
@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        ("list <&-", 0, b""),
        ("list >&-", 0, b""),
        ("--help >&-", 0, b""),
        ("run no-such-model <&-", 2, b"Error: the prompt is empty"),
        ("run no-such-model hi <&- >&-", 1, b"Error: model 'no-such-model' not found"),
        ("run no-such-model hi <&- >&- 2>&-", 1, b""),
    ],
)
def test_closed_streams(arguments: str, status: int, error: bytes, tmp_path: Path) -> None:
    result = run_in_shell(arguments, OLLAMAX_MODELS=str(tmp_path))
    assert result.returncode == status
    assert result.stderr.startswith(error)
    assert b"internal error" not in result.stderr


def test_output_in_an_encoding_that_lacks_a_character(tmp_path: Path) -> None:
    code = (
        "from ollamax.cli import main as m; import click; from ollamax.cli.command_table import COMMANDS, Entry\n"
        "m.probe = click.command('probe')(lambda: print('caf\\xe9 \\u4e2d'))\n"
        "COMMANDS['probe'] = Entry('ollamax.cli.main:probe', '')\n"
        "raise SystemExit(m.main(['probe']))"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=False)
    assert (result.returncode, result.stdout.strip()) == (0, b"caf\xe9 ?")


def test_a_warning_is_one_line(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    @install
    def probe() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("the moon\nis full", RuntimeWarning, stacklevel=1)

    assert main(["probe"]) == 0
    assert capsys.readouterr().err == "Warning: the moon is full\n"


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM ends a process of Windows at once")
def test_sigterm_lets_a_command_tidy_up(install: Install) -> None:
    told: list[str] = []

    @install
    def probe() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            told.append("tidied up")

    with pytest.raises(SystemExit) as found:
        main(["probe"])
    assert (found.value.code, told) == (128 + signal.SIGTERM, ["tidied up"])
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM ends a process of Windows at once")
def test_who_handles_sigterm_goes_on_doing_so(install: Install) -> None:
    told: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    try:
        install(lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert main(["probe"]) == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    assert told == [signal.SIGTERM]
