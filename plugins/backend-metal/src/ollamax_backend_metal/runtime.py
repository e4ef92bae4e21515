"""MLX itself: whether it is here, and which devices it has."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import replace
from typing import Any

from ollamax.backend import Device
from ollamax.errors import BackendError, one_line

GPU_RANK = 1.5
"""Above NumPy's. Nobody has measured it against ggml and ONNX Runtime, so that ``auto`` prefers those."""

CPU_RANK = 0.5
"""Below NumPy's, whose products are several times as fast."""

VARIABLE = "OLLAMAX_METAL_COMPILE"

_SLOW = "MLX on a processor shows that results are right, and is slower than every other backend"


def library() -> Any:
    """The module ``mlx.core``; raises BackendError where it cannot be loaded."""
    try:
        import mlx.core
    except Exception as error:
        raise BackendError(
            f"MLX cannot be loaded on {platform.system()} {platform.machine()} ({one_line(str(error), 160)}); it runs "
            "on Apple silicon (pip install mlx) and on Linux (pip install 'mlx[cpu]'); elsewhere take another backend"
        ) from error
    return mlx.core


def devices() -> dict[str, tuple[Any, Device]]:
    """What MLX computes on here, the fastest first: its own device and ours by name.

    Raises BackendError where MLX cannot be loaded.
    """
    mx = library()
    found = []
    for name, is_there, kind in (("metal", mx.metal.is_available, mx.gpu), ("cuda", mx.cuda.is_available, mx.gpu)):
        if is_there():
            found.append(_described(mx, name, kind, GPU_RANK))
    if mx.is_available(mx.cpu):
        device = _described(mx, "cpu", mx.cpu, CPU_RANK)
        found.append((device[0], replace(device[1], only_by_name=_SLOW)))
    return {device.name: (own, device) for own, device in found}


def compiles(device: Device) -> bool:
    """Whether programs are compiled on ``device``: on graphics processors, unless the environment says otherwise.

    On a processor MLX takes g++ for that, and loads what it finds in a folder below the one for temporary files.
    Raises BackendError for a value that is neither 0 nor 1, and for 1 on a processor without g++.
    """
    asked = os.environ.get(VARIABLE, "")
    if asked not in ("", "0", "1"):
        raise BackendError(f"{VARIABLE} is {asked!r:.40}; set it to 1 to compile programs, to 0 not to")
    if asked == "1" and device.name == "cpu" and shutil.which("g++") is None:
        raise BackendError(
            f"{VARIABLE} is 1, but MLX compiles for a processor with g++, which is not there; set it to 0"
        )
    return asked == "1" or (not asked and device.name != "cpu")


def _described(mx: Any, name: str, kind: Any, rank: float) -> tuple[Any, Device]:
    own = mx.Device(kind)
    facts = mx.device_info(own)
    memory = facts.get("memory_size", facts.get("total_memory"))
    label = str(facts.get("device_name", platform.machine()))
    return own, Device(name, f"{label} (MLX)", memory if isinstance(memory, int) else None, rank)
