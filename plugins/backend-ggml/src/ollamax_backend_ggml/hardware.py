"""What the machine offers: physical cores, and memory that is free to take."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def physical_cores() -> int:
    """Cores that this process may use, hyper-threads counted once; at least 1."""
    import psutil

    allowed = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, min(allowed, psutil.cpu_count(logical=False) or allowed))


def available_memory() -> int:
    """Bytes that can be allocated without swapping: the system's, or what is left of the container's limit."""
    import psutil

    free = int(psutil.virtual_memory().available)
    limit = _container_left()
    return free if limit is None else min(free, limit)


def total_memory() -> int:
    """Bytes of main memory."""
    import psutil

    return int(psutil.virtual_memory().total)


def _container_left() -> int | None:
    """What Linux' control group leaves, where there is one; file pages can be given back and do not count as used."""
    try:
        limit = (_CGROUP / "memory.max").read_text(encoding="ascii").strip()
        used = int((_CGROUP / "memory.current").read_text(encoding="ascii"))
        lines = (_CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    if not limit.isdigit():
        return None
    files = next((int(line.split()[1]) for line in lines if line.startswith("file ")), 0)
    return max(0, int(limit) - used + files)
