"""The peak memory of a command.

The kernel's high-water mark (``ru_maxrss`` of ``wait4``) counts pages of mapped files as well as allocated memory. A
child starts with the mark of the process that it was forked from, so a small process of its own stands between.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_SPAWN = """
import os, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
_, status, usage = os.wait4(child, 0)
print(usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))
sys.exit(os.waitstatus_to_exitcode(status))
"""


def peak_memory(arguments: Sequence[str], environment: Mapping[str, str], directory: Path) -> int:
    """Bytes of memory that Python with ``arguments`` took at its peak; what it prints is shown when it fails."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", _SPAWN, sys.executable, *arguments],
        env={**os.environ, **environment},
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def peak_of_create(source: Path, target: str | None, folder: Path) -> tuple[int, Path]:
    """Bytes of memory at the peak of ``ollamax create``, and the GGUF file that it made below ``folder``."""
    folder.mkdir()
    (folder / "Modelfile").write_text(f"FROM {source}\n", encoding="utf-8")
    quantize = [] if target is None else ["--quantize", target]
    main = "import sys; from ollamax.cli.main import main; sys.exit(main())"
    peak = peak_memory(["-c", main, "create", "made", *quantize], {"OLLAMAX_MODELS": str(folder / "store")}, folder)
    return peak, max((folder / "store" / "blobs").iterdir(), key=lambda path: path.stat().st_size)
