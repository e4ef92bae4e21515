"""docs/backends.md says what the backends declare and do, and its commands run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import backend_tables

    return backend_tables


def test_the_page_is_up_to_date(tables):
    assert tables.main(["--check"]) == 0


def test_a_stale_page_is_told_and_written_anew(tables, tmp_path, capsys):
    page = tmp_path / "backends.md"
    text = tables.PAGE.read_text("utf-8")
    page.write_text(text.replace("| `gelu` | lowered |", "| `gelu` | fused |"), "utf-8")
    assert tables.main(["--check", "--page", str(page)]) == 1
    assert "is stale; run: python benchmarks/backend_tables.py" in capsys.readouterr().err
    assert tables.main(["--page", str(page)]) == 0
    assert page.read_text("utf-8") == text


def test_a_page_without_a_place_for_tables_is_refused(tables):
    with pytest.raises(ValueError, match="has no <!-- made by"):
        tables.filled("# Backends\n", "")


def test_its_commands_run(tmp_path):
    text = (ROOT / "docs" / "backends.md").read_text("utf-8")
    commands = [line.strip()[2:] for line in text.splitlines() if line.strip().startswith("$ ")]
    assert len(commands) == 2
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env={**os.environ, "PATH": path, "OLLAMAX_MODELS": str(tmp_path / "store")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout[-500:]}{done.stderr[-500:]}"
        assert done.stdout.strip()
