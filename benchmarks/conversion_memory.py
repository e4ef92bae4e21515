"""Peak memory and rate of ``ollamax create`` on a checkpoint of 2 GB, beside the promised limit.

    python benchmarks/conversion_memory.py                   # every row, in a temporary folder
    python benchmarks/conversion_memory.py --gigabytes 8 --folder /big/disk

The limit is twice the largest tensor plus 200 MB, whatever the size of the checkpoint. The peak is the kernel's
(tests/peak_memory.py), which counts the pages of mapped files that a process has touched too, although the
kernel could drop them at any moment; so the code drops them itself (core/src/ollamax/mapped_pages.py). The folder needs
the room of the checkpoint four times. The exit status is 1 if a row is over its limit.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from large_checkpoint import LARGEST, write_large_checkpoint
from peak_memory import peak_of_create

MB = 10**6
TARGETS = (None, "F16", "F32", "Q8_0", "Q4_0")


def row(source: Path, target: str | None, folder: Path) -> tuple[int, float, Path]:
    """Peak in bytes, seconds, and what was made."""
    began = time.perf_counter()
    peak, made = peak_of_create(source, target, folder)
    return peak, time.perf_counter() - began, made


def rows(folder: Path, size: float) -> Iterator[tuple[str, int, int, float]]:
    """What is converted, its bytes, the peak in bytes and the seconds."""
    quantized = folder / "quantized.gguf"
    for title in ("safetensors", "PyTorch"):
        source, store = folder / title, folder / "made"
        total = write_large_checkpoint(source, size, pickled=title == "PyTorch")
        for target in TARGETS:
            peak, seconds, made = row(source, target, store)
            yield f"{title} BF16 to {target or 'BF16'}", total, peak, seconds
            if target == "Q8_0":
                made.replace(quantized)
            shutil.rmtree(store)
        shutil.rmtree(source)
    peak, seconds, _ = row(quantized, "Q4_0", folder / "made")
    yield "GGUF Q8_0 to Q4_0", quantized.stat().st_size, peak, seconds


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder by default")
    given = parser.parse_args()
    limit = 2 * LARGEST + 200 * MB
    print(f"largest tensor {LARGEST / MB:.0f} MB, limit {limit / MB:.0f} MB")
    print(f"{'conversion':<28}{'weights':>10}{'peak':>10}{'rate':>12}")
    broken = 0
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        for title, total, peak, seconds in rows(Path(name), given.gigabytes * 1e9):
            over = peak > limit
            broken += over
            rate = f"{total / seconds / MB:.0f} MB/s"
            print(f"{title:<28}{total / MB:>7.0f} MB{peak / MB:>7.0f} MB{rate:>12}{'  OVER' * over}", flush=True)
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
