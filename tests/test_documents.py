"""What the README and the guides show is run."""

import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")

Checkpoint = Callable[..., Path]


def block(marker: str) -> str:
    found = re.search(rf"<!-- {marker} -->\n```\w+\n(.*?)```", README, re.DOTALL)
    assert found, f"README.md has no block marked {marker!r}"
    return found[1]


GUIDE = (ROOT / "docs" / "add-a-model.md").read_text(encoding="utf-8")
PHI3 = ROOT / "examples" / "ollamax-plugin-phi3"
START = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")


def sessions(document: str) -> list[tuple[str, list[str]]]:
    """Commands of the console blocks, each with the lines typed into it."""
    found: list[tuple[str, list[str]]] = []
    for text in re.findall(r"```console\n(.*?)```", document, re.DOTALL):
        for line in text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line.startswith(">>> "):
                found[-1][1].append(line[4:])
    return found


def shown(document: str) -> list[tuple[str, list[str]]]:
    """Commands of the console blocks, each with the lines that are shown below it."""
    found: list[tuple[str, list[str]]] = []
    for text in re.findall(r"```console\n(.*?)```", document, re.DOTALL):
        for line in text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def comparable(line: str) -> str:
    """A line without what differs between machines: numbers with a fraction, how many tests there are, and columns."""
    line = re.sub(r"-?\d+\.\d+(e[-+]\d+)?", "#", line)
    line = re.sub(r"\(installed: [^)]*\)", "(installed: #)", line)  # a package that is new in plugins/ is in it
    return " ".join(re.sub(r"\d+ passed", "# passed", line).split())


def pieces(lines: list[str]) -> list[str]:
    """What is shown without a gap, one line each, between the dots that stand for lines that are left out."""
    text = "\n".join("..." if line == "..." else comparable(line) for line in lines)
    return [piece.strip("\n") for piece in re.split(r"(?m)^\.\.\.$", text) if piece.strip("\n")]


def environment(store: Path) -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "OLLAMAX_MODELS": str(store), "HOME": str(store)}


def modelfile() -> str:
    found = re.search(r"\$ cat Modelfile\n(.*?)\n\$ ", README, re.DOTALL)
    assert found
    return found[1] + "\n"


def guide_environment(folder: Path) -> dict[str, str]:
    """With a checkout of ollamax in ``folder``, and a pip that does without a network."""
    (folder / "ollamax").symlink_to(ROOT)
    (folder / "bin").mkdir()
    pip = f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/tests/as_if_installed.py" "{folder}/site" "$@"\n'
    (folder / "bin" / "pip").write_text(pip, encoding="utf-8")
    (folder / "bin" / "pip").chmod(0o755)
    given = environment(folder / "store")
    modules = [str(folder / "site"), str(folder / "ollamax-plugin-phi3" / "src"), given.get("PYTHONPATH", "")]
    path = os.pathsep.join([str(folder / "bin"), given["PATH"]])
    return {**given, "PYTHONPATH": os.pathsep.join(filter(None, modules)), "PATH": path}


def execute(command: str, folder: Path, given: dict[str, str] | None = None) -> str:
    done = attempt(command, folder, given)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def attempt(command: str, folder: Path, given: dict[str, str] | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=given or environment(folder / "store"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.reference
def test_console_blocks_run_in_order(tmp_path: Path, llama_checkpoint: Checkpoint) -> None:
    llama_checkpoint().rename(tmp_path / "my-llama-directory")
    (tmp_path / "Modelfile").write_text(modelfile(), encoding="utf-8")
    commands = sessions(README)
    assert len(commands) >= 10
    for command, lines in commands:
        output = converse(command, lines, tmp_path) if lines else execute(command, tmp_path)
        assert output.strip() or command.split()[1] in {"create", "cp", "rm"}, f"{command} printed nothing"


@pytest.mark.reference
def test_the_guide_s_commands_run_in_order_and_print_what_it_shows(tmp_path: Path) -> None:
    given, commands = guide_environment(tmp_path), shown(GUIDE)
    assert len(commands) >= 30
    for command, lines in commands:
        done = attempt(command, tmp_path, given)
        fails = any(line.startswith("Error: ") for line in lines)
        assert done.returncode == fails, f"{command}: {done.stdout}{done.stderr}"
        printed = "\n".join(comparable(line) for line in f"{done.stdout}{done.stderr}".splitlines())
        rest = printed.replace(f"{tmp_path}/", "./")
        for piece in pieces(lines):
            _, found, rest = rest.partition(piece)
            assert found, f"{command} does not print, in this order:\n{piece}\n\nbut:\n{printed}"
        assert lines or done.stderr == "", f"{command}: {done.stderr}"


def test_numbers_and_columns_of_what_is_shown_may_differ() -> None:
    assert comparable("logits   3 x 283   -1.20e-06  same") == comparable("logits 3 x 283 4.5 same")
    assert comparable("logits 3 x 283 1.0 same") != comparable("logits 3 x 284 1.0 same")
    assert pieces(["a", "b", "...", "c  1.5"]) == ["a\nb", "c #"]


def test_the_guide_counts_the_lines_of_its_example() -> None:
    template = ROOT / "core/src/ollamax/scaffold/templates/architecture/src/ollamax_poem"
    (model, convert), new = (
        [len((folder / name).read_text(encoding="utf-8").splitlines()) for name in ("model.py", "convert.py")]
        for folder in (PHI3 / "src" / "ollamax_phi3", template)
    )
    text = " ".join(GUIDE.split())
    assert f"is {model + convert} lines in the two files" in text
    assert f"`model.py` ({model}) and `convert.py` ({convert}), of which the new package had {sum(new)}." in text


def test_every_step_of_the_guide_has_a_command() -> None:
    steps = re.split(r"(?m)^## (?=\d)", GUIDE)[1:]
    assert [int(step[0]) for step in steps] == list(range(1, 10))
    # What is published is tried by tox -e example.
    assert [step.splitlines()[0] for step in steps if not shown(step)] == ["9. Publish"]


def test_the_start_page_s_commands_run(tmp_path: Path) -> None:
    commands = sessions(START)
    assert len(commands) >= 3
    for command, _ in commands:
        assert execute(command, tmp_path).strip(), f"{command} printed nothing"
    (program,) = re.findall(r"```python\n(.*?)```", START, re.DOTALL)
    assert execute(f"python -c {shlex.quote(program)}", tmp_path).strip()
    assert "-r requirements.txt" in START
    assert "-r requirements.txt" in block("demo command")


def converse(command: str, lines: list[str], folder: Path) -> str:
    """Type lines into a command on a terminal of its own; returns what it showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        shlex.split(command), cwd=folder, env=environment(folder / "store"), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    try:
        for line in [*lines, None]:
            while line is not None and b">>> " not in shown.rsplit(b"\n", 1)[-1]:
                shown += os.read(ours, 4096)
            if line is not None:
                os.write(ours, line.encode() + b"\n")
                shown += b"\n"
        while True:
            shown += os.read(ours, 4096)
    except OSError:
        pass  # a pty reports its end like this
    finally:
        os.close(ours)
    assert process.wait(timeout=60) == 0, shown.decode(errors="replace")
    return shown.decode(errors="replace")


def test_python_example_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", block("python example")],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) > 60


def test_ci_runs_the_readme_s_test_command() -> None:
    assert "README.md" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "tox" in block("test command")


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "CONTRIBUTING.md",
        "docs/index.md",
        "docs/architecture.md",
        "docs/add-a-model.md",
        "docs/backends.md",
        *(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("plugins/*/README.md"))),
        "examples/ollamax-plugin-phi3/README.md",
    ],
)
def test_paths_that_documents_name_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    folder = (ROOT / name).parent
    core = ROOT / "core/src"
    homes = [
        ROOT,
        core,
        core / "ollamax",
        folder,
        ROOT / "plugins/llama/src/ollamax_llama",
        *folder.glob("src/*"),
        PHI3,
    ]
    for path in set(re.findall(r"`([\w./-]+/[\w./-]*|\w+\.(?:py|md|toml|ini|txt))`", text)):
        if path.startswith(("./my-", "~", "http", "src/")) or path in ("/", ".venv/bin") or path.endswith(".go"):
            continue
        assert any((home / path).exists() for home in homes), f"{name} names {path}, which does not exist"
