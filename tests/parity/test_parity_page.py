"""A part of docs/parity.md can be made anew while the others stay."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_made_of_parts_that_are_found_again() -> None:
    code = "import parity; page = (parity.ROOT / 'docs' / 'parity.md').read_text('utf-8'); "
    code += "found = [parity.kept(page, part) for part in parity.PARTS]; assert all(found), found; "
    code += (
        "assert parity.HEAD + ''.join(found) == page, 'other text'; assert parity.kept('# Parity\\n', 'backends') == ''"
    )
    # In a process of its own: parity imports tests/conftest.py, and pytest has more than one module of that name.
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "benchmarks", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-1000:]
