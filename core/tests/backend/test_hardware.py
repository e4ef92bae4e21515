"""What the machine offers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ollamax.backend import hardware
from ollamax.backend.hardware import available_memory, physical_cores, total_memory


def test_hardware_is_counted() -> None:
    assert 1 <= physical_cores() <= (os.cpu_count() or 1)
    assert 0 < available_memory() < total_memory()


def test_a_container_leaves_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_CGROUP", tmp_path)
    for name, text in (
        ("memory.max", "7000000\n"),
        ("memory.current", "5000000\n"),
        ("memory.stat", "anon 1\nfile 9\n"),
    ):
        (tmp_path / name).write_text(text)
    assert available_memory() == 2000009
    (tmp_path / "memory.max").write_text("max\n")
    assert available_memory() > 10**7


@pytest.mark.skipif(sys.platform != "linux", reason="other platforms honour no such limit")
def test_a_limit_of_the_process_leaves_less() -> None:
    code = "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30)); "
    code += "from ollamax.backend.hardware import available_memory; print(available_memory())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert 0 < int(done.stdout) < 2**30
