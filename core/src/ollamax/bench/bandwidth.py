"""The rate at which the processor reads memory, which decoding is measured against."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_BYTES = 256 << 20


def rate(work: float, run: Callable[[], object], repeat: int) -> float:
    """Median of ``work`` per second over ``repeat`` runs, after one that warms up."""
    run()
    seconds = []
    for _ in range(repeat):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return work / statistics.median(seconds)


def read_bandwidth(repeat: int = 9) -> float:
    """Bytes per second at which an array is read that no cache holds: by one thread or by one per core, the higher.

    Each thread looks for the largest number of its part, which takes NumPy less time than the memory takes.
    """
    import numpy as np

    threads = os.cpu_count() or 1
    array = np.ones(_BYTES // 4, np.int32)
    parts = np.array_split(array, threads)
    with ThreadPoolExecutor(threads) as pool:
        alone = rate(array.nbytes, array.max, repeat)
        together = rate(array.nbytes, lambda: list(pool.map(np.max, parts)), repeat)
    return max(alone, together)
