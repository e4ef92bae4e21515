"""The reference pages in docs/reference are what the code says."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "reference"


def generate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "docs" / "generate"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_no_page_is_stale() -> None:
    done = generate("--check")
    assert done.returncode == 0, done.stderr


def test_a_stale_page_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "reference"
    shutil.copytree(PAGES, folder)
    (folder / "ops.md").write_text("changed", encoding="utf-8")
    (folder / "caches.md").unlink()
    (folder / "forgotten.md").write_text("of a page that was renamed", encoding="utf-8")
    done = generate("--check", "--folder", str(folder))
    assert done.returncode == 1
    assert "caches.md, forgotten.md, ops.md" in done.stderr
    assert generate("--folder", str(folder)).returncode == 0
    assert (folder / "ops.md").read_text(encoding="utf-8") == (PAGES / "ops.md").read_text(encoding="utf-8")


def test_a_key_that_no_readme_explains_is_named(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("| key | meaning |\n|---|---|\n| `llama.block_count` | layers |\n", "utf-8")
    program = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1])\n"
        "from architectures import keys; from ollamax_llama.model import Llama\n"
        "keys(pathlib.Path(sys.argv[2]), Llama)"
    )
    command = [sys.executable, "-c", program, str(ROOT / "docs" / "generate"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "README.md does not say what these keys are" in done.stderr
    assert "llama.embedding_length" in done.stderr
    assert "llama.block_count" not in done.stderr


def test_every_option_hook_and_op_has_its_row() -> None:
    from ollamax.engine.options import TABLE
    from ollamax.ml import Op

    ops, options, hooks = (
        (PAGES / name).read_text(encoding="utf-8") for name in ("ops.md", "modelfile.md", "hooks.md")
    )
    assert all(f"| `{op}` |" in ops for op in Op)
    assert all(f"`{name}`" in options for name in TABLE)
    assert hooks.count("\n## ollamax_") == 7
