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
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from engines.report import OWN, RIVAL, SAME, Run, values, write_report
from random_models import SHAPES, VOCABULARIES, write_random_model

from ollamax.bench.bandwidth import read_bandwidth
from ollamax.bench.measure import Abouts, Measured, Measurement
from ollamax.bench.plan import KINDS, Sizes, plan
from ollamax.bench.worker import Contender, own_contender
from ollamax.convert.file_type import parse_file_type

ROOT = Path(__file__).parents[1]
ENGINE = Path(__file__).parent / "engines" / "llama_cpp_engine.py"
TYPES = ("Q4_0", "Q4_K_M", "Q8_0", "F16")
MODELS = tuple(f"{shape} {kind}" for shape in SHAPES for kind in TYPES)
TRAINED = min(shape.context for shape in SHAPES.values())


def contenders(path: Path, given: argparse.Namespace) -> list[Contender]:
    """Both engines with one file, and ours also with the library of the other."""
    options = {"num_thread": given.threads, "num_batch": 512, "cache_type": "f16"}
    own = own_contender(str(path), given.backend, label=OWN, **options)
    # The rival's Python may be one without ollamax; its worker needs ollamax.bench.work.
    environment = {"PYTHONPATH": str(ROOT / "core" / "src")}
    rival = Contender(RIVAL, [given.rival, str(ENGINE), str(path), f"--threads={given.threads}"], environment)
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


def chosen_models(text: str) -> list[str]:
    """Models that have all words of one of the entries between commas, such as "F16" or "llama-1b Q4_0"."""
    entries = [set(entry.split()) for entry in text.split(",")]
    found = [model for model in MODELS if any(entry <= set(model.split()) for entry in entries)]
    if not found or not all(entry and any(entry <= set(model.split()) for model in MODELS) for entry in entries):
        raise argparse.ArgumentTypeError(f"{text!r} names none of {', '.join(MODELS)}")
    return found


def chosen_rows(text: str) -> list[str]:
    """Kinds of rows between commas."""
    kinds = text.split(",")
    if unknown := set(kinds) - KINDS.keys():
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))} is not one of {', '.join(KINDS)}")
    return kinds


class Pairs:
    """How often to measure each kind of row: "7", or "7,chat=3" for other numbers of some kinds."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._default, self._kinds = 7, dict[str, int]()
        for part in text.split(","):
            kind, given, number = part.rpartition("=")
            if given and kind not in KINDS:
                raise ValueError(kind)
            if int(number) < 1:
                raise ValueError(number)
            if given:
                self._kinds[kind] = int(number)
            else:
                self._default = int(number)

    def __call__(self, kind: str) -> int:
        return self._kinds.get(kind, self._default)

    def __str__(self) -> str:
        return self.text.replace(",", ", ").replace("=", " ")


def show(texts: tuple[str, ...]) -> None:
    """A line of the table."""
    print(
        "".join(text.ljust(width) for text, width in zip(texts, (18, 28, 10, 15, 11, 14, 7, 13), strict=True)),
        flush=True,
    )


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=chosen_models, default=list(MODELS), help=f"of {', '.join(MODELS)}")
    parser.add_argument("--rows", type=chosen_rows, default=list(KINDS), help=f"of {', '.join(KINDS)}")
    parser.add_argument("--pairs", type=Pairs, default=Pairs("7"), help="such as 7, or 7,chat=3,sequences=5")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--backend", default="ggml")
    parser.add_argument("--rival", default=sys.executable, help="the Python that has llama-cpp-python")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where the models go")
    parser.add_argument("--vocabulary", type=Path, default=VOCABULARIES)
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    return parser


def main() -> None:
    """Print the table as it comes."""
    given = options().parse_args()
    if given.write and set(given.rows) != KINDS.keys():
        raise SystemExit("--write takes all kinds of rows; leave out --rows")
    bandwidth = read_bandwidth()
    print(f"memory bandwidth: {bandwidth / 1e9:.1f} GB/s")
    show(("model", "row", OWN, SAME, RIVAL, "unit", "ratio", SAME))
    for name in given.models:
        shape, kind = name.split()
        path = given.folder / f"random-{shape}-{kind}.gguf"
        write_random_model(path, SHAPES[shape], parse_file_type(kind), given.vocabulary)
        abouts, rows = measure(path, given, bandwidth)
        found = []
        for row in rows:
            show((name, row.row.title, *values(row)))
            found.append(row)
        if given.write:
            write_report(Run(name, found, abouts, Sizes(), bandwidth, given.threads, str(given.pairs)))


if __name__ == "__main__":
    main()
