"""Broken plugins, built and installed: the command line works, good plugins load, the row says what failed and why."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HOOK = "from ollamax.plugins import hookimpl\n\n@hookimpl\n"
ARCHITECTURE = """
    from ollamax.arch.base import Architecture

    class Mine(Architecture):
        {body}
        def __init__(self, config): ...
        def cache(self, size): ...
        def forward(self, batch, cache): ...
        def shift(self, layer, key, delta): ...

    return [Mine]
"""
BACKEND = """
    from ollamax.backend.base import Backend, Probe

    class Mine(Backend):
        name = {name!r}

        @classmethod
        def probe(cls):
            {probe}

        def load(self, weights, progress=None): ...
        def build(self, graph): ...
        def close(self): ...

    return [Mine]
"""


def architecture(body: str) -> str:
    return HOOK + "def ollamax_architectures():" + ARCHITECTURE.format(body=body)


def backend(name: str, probe: str) -> str:
    return HOOK + "def ollamax_backends():" + BACKEND.format(name=name, probe=probe)


@dataclass(frozen=True)
class Case:
    """A plugin.py and the row that is expected of it; ``strict`` is whether strict mode stops at it."""

    plugin: str
    status: str
    reason: str
    requires: tuple[str, ...] = ("ollamax-core>=0.1",)
    note: str = ""
    strict: bool = True


# The cases that the project promises.
MATRIX = {
    "missing-dependency": Case(
        "import abacus_runtime\n" + architecture("name = 'unreached'"),
        "unavailable",
        "needs module 'abacus_runtime', which is not installed; pip install 'abacus-runtime>=2'",
        requires=("ollamax-core>=0.1", "abacus-runtime>=2", "beads; python_version < '3'"),
    ),
    "syntax-error": Case("def broken(:\n", "failed", "SyntaxError: invalid syntax (plugin.py, line 1)"),
    "error-at-import": Case(
        "raise RuntimeError('out of\\nbeads')", "failed", "RuntimeError: out of beads (plugin.py:1)"
    ),
    "exit-at-import": Case("import sys\nsys.exit(3)", "failed", "SystemExit: 3 (plugin.py:2)"),
    "error-in-hook": Case(
        HOOK + "def ollamax_backends():\n    return {}['cpu']",
        "failed",
        "hook ollamax_backends: KeyError: 'cpu' (plugin.py:5)",
    ),
    "wrong-return-type": Case(
        HOOK + "def ollamax_architectures():\n    return 'good'",
        "failed",
        "ollamax_architectures returned an object of type str where a list is expected",
    ),
    "misspelt-hook": Case(
        HOOK + "def ollamax_architecture():\n    return []",
        "failed",
        "there is no hook 'ollamax_architecture'; did you mean 'ollamax_architectures'?",
    ),
    "same-architecture": Case(
        architecture("name, aliases = 'third', ('good',)"),
        "failed",
        "claims the architecture 'good', which belongs to good-plugin 1.0",
    ),
    "shadows-tokenizer": Case(
        HOOK + "def ollamax_tokenizers():\n"
        "    from ollamax.tokenizer.base import PreTokenizer\n"
        "    return [type('Mine', (PreTokenizer,), {'names': ('llama-bpe',)})]",
        "failed",
        "claims the pre-tokenizer 'llama-bpe', which is built into ollamax-core",
    ),
    "shadows-command": Case(
        HOOK + "def ollamax_commands(cli):\n    cli.command('run')(lambda: None)",
        "failed",
        "claims the command 'run', which is built into ollamax-core",
    ),
    "core-too-old": Case(
        architecture("name = 'unreached'"),
        "failed",
        "needs ollamax-core>=99, but {core} is running: core is too old; pip install --upgrade ollamax-core",
        requires=("ollamax-core>=99",),
    ),
    "core-too-new": Case(
        architecture("name = 'unreached'"),
        "failed",
        "needs ollamax-core<0.0.5, but {core} is running: core-too-new is too old for this core; "
        "pip install --upgrade core-too-new",
        requires=("ollamax-core<0.0.5",),
    ),
    "slow-import": Case(
        "import time\ntime.sleep(0.6)\n" + architecture("name = 'slow'"),
        "ok",
        "",
        note="slow import: 0.",
        strict=False,
    ),
}

# More ways to go wrong; these are installed all at once, with the matrix.
MORE = {
    "exit-in-hook": Case(
        HOOK + "def ollamax_models():\n    raise SystemExit", "failed", "hook ollamax_models: SystemExit"
    ),
    "exit-in-commands": Case(
        HOOK + "def ollamax_commands(cli):\n    exit(0)", "failed", "hook ollamax_commands: SystemExit: 0"
    ),
    "own-module": Case(
        "import own_module.absent", "failed", "its own module 'own_module.absent' does not exist; reinstall own-module"
    ),
    "core-module": Case("import ollamax.absent", "failed", "imports 'ollamax.absent', which ollamax-core {core}"),
    "undeclared-dependency": Case(
        "import abacus_runtime", "unavailable", "pip install the package that holds 'abacus_runtime'"
    ),
    "returns-none": Case(
        HOOK + "def ollamax_backends(): ...", "failed", "ollamax_backends returned an object of type NoneType"
    ),
    "wrong-class": Case(
        HOOK + "def ollamax_converters():\n    return [int]",
        "failed",
        "ollamax_converters returned int in its list where a subclass of Converter is expected",
    ),
    "an-instance": Case(
        HOOK + "def ollamax_models():\n    return ['demo']",
        "failed",
        "ollamax_models returned an object of type str in its list where a BundledModel is expected",
    ),
    "the-contract-itself": Case(
        HOOK
        + "def ollamax_architectures():\n    from ollamax.arch.base import Architecture\n    return [Architecture]",
        "failed",
        "returned Architecture itself; a subclass is expected",
    ),
    "an-abstract-class": Case(
        HOOK + "def ollamax_backends():\n"
        "    from ollamax.backend.base import Backend\n"
        "    return [type('Half', (Backend,), {'name': 'half'})]",
        "failed",
        "returned Half, which lacks build, close, load, probe",
    ),
    "no-name": Case(architecture("pass"), "failed", "Mine.name is '' where a printable, non-empty text is expected"),
    "text-for-a-tuple": Case(
        architecture("name, aliases = 'text', 'texts'"),
        "failed",
        "Mine.aliases is 'texts' where a tuple of names is expected",
    ),
    "same-name-twice": Case(
        architecture("name, aliases = 'twice', ('twice',)"), "failed", "provides the architecture 'twice' twice"
    ),
    "backend-auto": Case(backend("auto", "..."), "failed", "Mine.name is 'auto'"),
    "backend-no-device": Case(
        backend("abacus", "return Probe((), 'no beads on this machine')"),
        "unavailable",
        "backend 'abacus': no beads on this machine",
        strict=False,
    ),
    "backend-probe-raises": Case(
        backend("lyre", "raise OSError('no strings')"),
        "unavailable",
        "backend 'lyre': probe: OSError: no strings",
        strict=False,
    ),
    "backend-probe-exits": Case(
        backend("harp", "raise SystemExit(5)"),
        "unavailable",
        "backend 'harp': probe: SystemExit: 5",
        strict=False,
    ),
    "backend-probe-answers-nothing": Case(
        backend("drum", "return None"),
        "unavailable",
        "backend 'drum': probe: BackendError: probe() returned NoneType where a Probe is expected",
        strict=False,
    ),
    "quantizer-of-nothing": Case(
        HOOK + "def ollamax_quantizers():\n"
        "    from ollamax.convert.quantizer import Quantizer\n"
        "    return [type('Mine', (Quantizer,), {'name': 'mine', 'quantize': print, 'dtypes': ('Q4_K',)})]",
        "failed",
        "Mine.dtypes is ('Q4_K',) where a frozenset of DType is expected",
    ),
    "unmarked-hook": Case(
        "def ollamax_backends():\n    return []", "failed", "function 'ollamax_backends' lacks the mark @hookimpl"
    ),
    "unknown-parameter": Case(
        HOOK + "def ollamax_backends(config):\n    return []",
        "failed",
        "PluginValidationError: Plugin 'unknown-parameter",
    ),
    "a-wrapper": Case(
        "from ollamax.plugins import hookimpl\n\n@hookimpl(wrapper=True)\ndef ollamax_backends():\n    return (yield)",
        "failed",
        "hook ollamax_backends: the option wrapper is not supported; leave it out",
    ),
    "no-hook": Case("", "failed", "its entry point holds no function that is marked with @hookimpl"),
    "alias-of-a-command": Case(
        HOOK + "def ollamax_commands(cli):\n    cli.command('ls')(lambda: None)", "failed", "claims the command 'ls'"
    ),
    "same-command": Case(
        HOOK + "def ollamax_commands(cli):\n    cli.command('hello')(lambda: None)",
        "failed",
        "claims the command 'hello', which belongs to good-plugin 1.0",
    ),
    "not-a-command": Case(
        HOOK + "def ollamax_commands(cli):\n    cli.commands['odd'] = print",
        "failed",
        "ollamax_commands added 'odd', which is no click.Command",
    ),
    "number-for-a-command": Case(
        HOOK + "def ollamax_commands(cli):\n    import click\n    cli.commands[3] = click.Command('x')",
        "failed",
        "ollamax_commands added 3, which is no name of a command",
    ),
    "option-for-a-command": Case(
        HOOK + "def ollamax_commands(cli):\n    cli.command('--help')(lambda: None)",
        "failed",
        "ollamax_commands added '--help', which is no name of a command",
    ),
    "help-that-is-no-text": Case(
        HOOK + "def ollamax_commands(cli):\n"
        "    import click\n"
        "    shout = type('Shout', (click.Command,), {'get_short_help_str': lambda self, limit=45: limit})\n"
        "    cli.add_command(shout('shout'))",
        "failed",
        "the help of the command 'shout' is no text",
    ),
    "hidden-that-raises": Case(
        HOOK + "def ollamax_commands(cli):\n"
        "    import click\n"
        "    hidden = property(lambda self: 1 / 0, lambda self, value: None)\n"
        "    cli.add_command(type('Veil', (click.Command,), {'hidden': hidden})('veil'))",
        "failed",
        "hook ollamax_commands: ZeroDivisionError: division by zero (plugin.py:6)",
    ),
    "prints": Case(
        "import sys, warnings\nprint('noise')\nsys.stdout.write('more noise')\nwarnings.warn('and a warning')\n"
        + architecture("name = 'noisy'"),
        "ok",
        "",
        strict=False,
    ),
    "no-range-of-core": Case(
        architecture("name = 'carefree'"),
        "ok",
        "",
        requires=(),
        note="declares no range of ollamax-core",
        strict=False,
    ),
    "hook-of-the-future": Case(
        architecture("name = 'early'") + "\n@hookimpl(optionalhook=True)\ndef ollamax_telepathy(): ...",
        "ok",
        "",
        strict=False,
    ),
    "bad-message": Case(
        "class Bad(Exception):\n    def __str__(self): raise ValueError\nraise Bad",
        "failed",
        "Bad: (its message cannot be printed)",
    ),
    "terminal-codes": Case("raise ValueError('\\x1b[2Jcleared')", "failed", "ValueError: [2Jcleared"),
}


@pytest.fixture(scope="session")
def core_version() -> str:
    from ollamax import __version__

    return __version__


def parse(stdout: str) -> dict[str, Any]:
    return {row["distribution"]: row for row in json.loads(stdout)}


def check_row(row: dict[str, Any], case: Case, core_version: str) -> None:
    assert row["status"] == case.status
    assert case.reason.format(core=core_version) in row["reason"]
    assert bool(case.reason) == bool(row["reason"])
    assert "\n" not in row["reason"]
    assert "\x1b" not in row["reason"]
    assert [note for note in row["notes"] if note.startswith(case.note)] if case.note else not row["notes"]


def check_good(rows: dict[str, Any]) -> None:
    good = rows["good-plugin"]
    assert (good["status"], good["reason"]) == ("ok", "")
    assert good["provides"] == {"architecture": ["good", "fine"], "command": ["hello"]}


@pytest.mark.parametrize("name", MATRIX)
def test_one_broken_plugin(
    name: str, environment: Any, distribution: Callable[..., Any], tmp_path: Path, core_version: str
) -> None:
    case = MATRIX[name]
    path = environment.install(
        [distribution(name, {"plugin.py": case.plugin}, requires=case.requires)], tmp_path / "packages"
    )

    help_text = environment.ollamax("--help", path=path)
    assert help_text.status == 0
    assert "list-plugins" in help_text.stdout
    assert "Say hello." in help_text.stdout

    listed = environment.ollamax("list-plugins", "--json", path=path)
    assert listed.status == 0, listed.stderr
    rows = parse(listed.stdout)
    check_row(rows[name], case, core_version)
    check_good(rows)

    chosen = f"{name},good-plugin"
    strict = environment.ollamax("list-plugins", path=path, OLLAMAX_STRICT_PLUGINS="1", OLLAMAX_PLUGINS=chosen)
    if case.strict:
        assert (strict.status, strict.stdout) == (1, "")
        assert strict.stderr.startswith(f"Error: plugin '{name}' of {name} 1.0 {case.status}: ")
        assert strict.stderr.count("\n") == 1
        assert "Traceback" not in strict.stderr
    else:
        assert strict.status == 0, strict.stderr


@pytest.fixture(scope="session")
def crowd(environment: Any, distribution: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every broken plugin of this module, installed in one go."""
    many = [
        distribution(name, {"plugin.py": case.plugin}, requires=case.requires) for name, case in (MATRIX | MORE).items()
    ]
    folder: Path = environment.install(many, tmp_path_factory.mktemp("crowd"))
    return folder


@pytest.fixture(scope="session")
def crowd_rows(environment: Any, crowd: Path) -> dict[str, Any]:
    listed = environment.ollamax("list-plugins", "--json", path=crowd)
    assert listed.status == 0, listed.stderr
    assert "noise" in listed.stderr  # stdout held JSON and nothing else
    return parse(listed.stdout)


@pytest.mark.parametrize("name", MATRIX | MORE)
def test_row_among_many_broken_plugins(name: str, crowd_rows: dict[str, Any], core_version: str) -> None:
    check_row(crowd_rows[name], (MATRIX | MORE)[name], core_version)


def test_good_plugins_load_among_many_broken_ones(crowd_rows: dict[str, Any]) -> None:
    check_good(crowd_rows)
    assert crowd_rows["ollamax-core"]["status"] == "ok"
    assert crowd_rows["ollamax-core"]["provides"]["tokenizer"]


def test_dropped_plugins_provide_nothing(crowd_rows: dict[str, Any]) -> None:
    dropped = [row for row in crowd_rows.values() if row["status"] == "failed"]
    assert len(dropped) > 20
    assert all(not row["provides"] for row in dropped)


def test_help_among_many_broken_plugins(environment: Any, crowd: Path) -> None:
    shown = environment.ollamax("--help", path=crowd)
    assert shown.status == 0
    assert "Say hello." in shown.stdout
    assert "Traceback" not in shown.stderr


def test_plain_table_names_status_and_reason(environment: Any, crowd: Path) -> None:
    shown = environment.ollamax("list-plugins", path=crowd)
    assert shown.status == 0
    (line,) = [line for line in shown.stdout.splitlines() if line.startswith("error-at-import ")]
    assert line.split()[:4] == ["error-at-import", "1.0", "-", "failed:"]
    assert line.endswith("RuntimeError: out of beads (plugin.py:1)")
    (slow,) = [line for line in shown.stdout.splitlines() if line.startswith("slow-import ")]
    assert "ok (slow import: 0." in slow
    assert slow.endswith(" s (limit 0.5 s))")


def test_traceback_of_a_plugin_only_when_debugging(environment: Any, crowd: Path) -> None:
    shown = environment.ollamax("--help", path=crowd, OLLAMAX_DEBUG="1", OLLAMAX_PLUGINS="error-at-import")
    assert shown.status == 0
    assert "Traceback" in shown.stderr
    assert "out of\nbeads" in shown.stderr


def test_command_of_a_plugin_runs(environment: Any) -> None:
    said = environment.ollamax("hello")
    assert (said.status, said.stdout, said.stderr) == (0, "hello from a plugin\n", "")


def test_selected_plugins_only(environment: Any, crowd: Path) -> None:
    listed = environment.ollamax(
        "list-plugins", "--json", path=crowd, OLLAMAX_PLUGINS="Good_Plugin, prints", OLLAMAX_STRICT_PLUGINS="1"
    )
    assert listed.status == 0, listed.stderr
    assert list(parse(listed.stdout)) == ["ollamax-core", "good-plugin", "prints"]


def test_selecting_what_is_not_installed(environment: Any) -> None:
    refused = environment.ollamax("list-plugins", OLLAMAX_PLUGINS="good-plugin,phantom")
    assert refused.status == 1
    assert refused.stderr.startswith("Error: OLLAMAX_PLUGINS names 'phantom', which is not installed; installed")
    assert "good-plugin" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_owner_of_a_name_follows_the_distribution_name_not_the_path(
    environment: Any, distribution: Callable[..., Any], tmp_path: Path
) -> None:
    made = [distribution(name, {"plugin.py": architecture("name = 'shared'")}) for name in ("beta", "alpha")]
    folders = [environment.install([item], tmp_path / item.name) for item in made]
    for order in (folders, folders[::-1]):
        listed = environment.ollamax("list-plugins", "--json", path=os.pathsep.join(map(str, order)))
        rows = parse(listed.stdout)
        assert rows["alpha"]["status"] == "ok"
        assert rows["beta"]["reason"] == "claims the architecture 'shared', which belongs to alpha 1.0"
