"""ollamax beside llama.cpp, on ggml-python's ggml and on llama.cpp's: the same file and threads, in turns in one run.

    pip install llama-cpp-python==0.3.36          # compiles for some minutes; may be in an environment of its own
    python benchmarks/vs_llama_cpp.py             # all models and rows; about two hours on two cores
    python benchmarks/vs_llama_cpp.py --models "llama-1b Q4_0,F16" --rows prompt,decode --pairs 5,chat=3
    python benchmarks/vs_llama_cpp.py --write     # also docs/performance.md and its picture, model by model

Rows are those of ``ollamax bench`` (ollamax.bench.plan). Each is the median of pairs that were run one right after the
other, first one engine and then the next. Rates of the same code drift by some percent on most machines, so only the
ratio of a run means anything. Both engines have F16 caches; llama.cpp has flash attention and is run through its C
interface.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from engines.choice import RIVAL, parser, print_row, rival_contender
from engines.report import OWN, SAME, Run, values, write_report
from random_models import SHAPES, write_random_model

from ollamax.bench.bandwidth import read_bandwidth
from ollamax.bench.measure import Abouts, Measured, Measurement
from ollamax.bench.plan import KINDS, Sizes, plan
from ollamax.bench.worker import Contender, own_contender
from ollamax.convert.file_type import parse_file_type

TYPES = ("Q4_0", "Q4_K_M", "Q8_0", "F16")
MODELS = tuple(f"{shape} {kind}" for shape in SHAPES for kind in TYPES)
TRAINED = min(shape.context for shape in SHAPES.values())
WIDTHS = (18, 28, 10, 15, 11, 14, 7, 13)


def contenders(path: Path, given: argparse.Namespace) -> list[Contender]:
    """Both engines with one file, and ours also with the library of the other."""
    options = {"num_thread": given.threads, "num_batch": 512, "cache_type": "f16"}
    own = own_contender(str(path), given.backend, label=OWN, **options)
    rival = rival_contender(path, given.threads, given.rival)
    if not find_spec("llama_cpp"):
        return [own, rival]
    return [own, replace(own, label=SAME, environment={"OLLAMAX_GGML_LIBRARY": "llama_cpp"}), rival]


def measure(path: Path, given: argparse.Namespace, bandwidth: float) -> tuple[Abouts, Iterator[Measured]]:
    """What the engines say of themselves, and the rows of one model as they come."""
    jobs, left = plan(Sizes(), given.rows, TRAINED)
    assert not left
    measurement = Measurement(contenders(path, given), given.pairs, bandwidth)
    abouts = measurement.about(context=64)
    return abouts, measurement.run(jobs, abouts)


def options() -> argparse.ArgumentParser:
    """The command line."""
    made = parser(__doc__, MODELS, list(KINDS))
    made.add_argument("--backend", default="ggml")
    return made


def main() -> None:
    """Print the table as it comes."""
    given = options().parse_args()
    if given.write and set(given.rows) != KINDS.keys():
        raise SystemExit("--write takes all kinds of rows; leave out --rows")
    bandwidth = read_bandwidth()
    print(f"memory bandwidth: {bandwidth / 1e9:.1f} GB/s")
    print_row(("model", "row", OWN, SAME, RIVAL, "unit", "ratio", SAME), WIDTHS)
    for name in given.models:
        shape, kind = name.split()
        path = given.folder / f"random-{shape}-{kind}.gguf"
        write_random_model(path, SHAPES[shape], parse_file_type(kind), given.vocabulary)
        abouts, rows = measure(path, given, bandwidth)
        found = []
        for row in rows:
            print_row((name, row.row.title, *values(row)), WIDTHS)
            found.append(row)
        if given.write:
            write_report(Run(name, found, abouts, Sizes(), bandwidth, given.threads, str(given.pairs)))


if __name__ == "__main__":
    main()
