"""A weight in a mapped file that a backend converts: the file's pages must not stay in memory beside the result."""

from __future__ import annotations

import mmap
import re
import sys
from pathlib import Path

import numpy as np

from ollamax.backend import Backend, Weight
from ollamax.ml import Graph, Kind, Op
from ollamax.ml.dtype import quantize
from ollamax.ml.tensor import graph_input, optional, weight
from ollamax.types import DType

_SHAPE = (1024, 1024)


def resident(path: Path) -> int:
    """Bytes of a file's pages that this process has mapped in; Linux only."""
    entries = re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text("utf-8"))
    sizes = (re.search(r"Rss:\s+(\d+)", entry) for entry in entries if str(path) in entry)
    return sum(int(size[1]) << 10 for size in sizes if size)


def check_pages(backend: Backend, dtype: DType, folder: Path, *, converts: bool = True) -> None:
    """Convert weights of ``dtype`` from a file and from memory, and compare.

    Raises AssertionError where products differ, where progress is not what was done, or where pages stay; they have to
    stay where the backend does not convert the type but computes with the file.
    """
    values = np.random.default_rng(0).normal(size=_SHAPE).astype(np.float32)
    stored = quantize(values, dtype).reshape(-1).view(np.uint8)
    path = folder / "weights"
    path.write_bytes(stored.tobytes())
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    weights = {
        "file": Weight("file", dtype, _SHAPE, np.frombuffer(mapped, np.uint8)),
        "memory": Weight("memory", dtype, _SHAPE, stored),
    }
    x, done = graph_input("x", ("T", _SHAPE[1]), Kind.FLOAT), list[int]()
    nodes = {name: optional(Op.LINEAR, x, weight(name, _SHAPE, dtype), extra={}) for name in weights}
    backend.load(weights, done.append)
    program = backend.compile(Graph(nodes))
    backend.compile(Graph(nodes))  # finds the weights as they are
    found = program.run({"x": values[:5]}, {"T": 5})
    np.testing.assert_array_equal(found["file"], found["memory"])
    assert done == [stored.nbytes, 2 * stored.nbytes], f"progress was {done}"
    if sys.platform == "linux":
        kept = resident(path)
        assert (kept <= stored.nbytes // 8) is converts, f"{kept:,} bytes of the file stay in memory"
    backend.close()
