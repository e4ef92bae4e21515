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
    """Bytes that can be allocated without swapping: the system's, or what the container's or process' limit leaves."""
    import psutil

    limits = [int(psutil.virtual_memory().available), _container_left(), _process_left()]
    return min(limit for limit in limits if limit is not None)


def total_memory() -> int:
    """Bytes of main memory."""
    import psutil

    return int(psutil.virtual_memory().total)


def _process_left() -> int | None:
    """What the limit of this process' address space leaves (``ulimit -v``), where there is one."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    import psutil

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else max(0, limit - int(psutil.Process().memory_info().vms))


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
