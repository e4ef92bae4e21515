"""ollamax's backends beside llama.cpp: the same file and threads, in turns in one run, and what was aimed at.

    pip install llama-cpp-python==0.3.36          # compiles for some minutes; may be in an environment of its own
    python benchmarks/backends.py                             # onnx; about an hour on two cores
    python benchmarks/backends.py --backend onnx,ggml,cpu     # several beside each other
    python benchmarks/backends.py --rows prompt,decode --pairs 3 --models "llama-1b Q4_0"
    python benchmarks/backends.py --write                     # also a section of docs/performance.md

Rows, turns and engines are those of benchmarks/vs_llama_cpp.py. Each backend keeps its cache in the type that is
fastest with it, llama.cpp in F16. "onnx, kept" is a model of a store that was loaded before with
OLLAMAX_KEEP_COMPILED=1, for the rows of a fresh process. Two more lines follow from the rows: how much of its rate
decoding keeps far into the context, and what of a backend's rates with Q4_0 is left with Q4_K_M.

onnxruntime-genai takes part too, with models of Q4_0 only, whose weights its own model builder keeps as they are:

    python -m venv genai && genai/bin/pip install onnxruntime-genai==0.18.0 onnx-ir torch transformers gguf
    python benchmarks/backends.py --genai genai/bin/python --models "llama-1b Q4_0,llama-1b Q4_K_M" --rows prompt,decode

Its model is made beside the file (engines/genai_model.py), which takes a minute, and kept there. Its rates are
in lines of their own, "beside onnxruntime-genai", in llama.cpp's place.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from engines.backend_report import Line, Target, kept_rates, lines_of, write_section
from engines.choice import GENAI, RIVAL, genai_contender, parser, print_row, rival_contender
from engines.genai_model import built_model
from random_models import SHAPES, write_random_model

from ollamax.bench.bandwidth import read_bandwidth
from ollamax.bench.measure import Measured, Measurement
from ollamax.bench.plan import Sizes, plan
from ollamax.bench.worker import Contender, own_contender
from ollamax.convert.file_type import parse_file_type
from ollamax.engine.create import create
from ollamax.modelfile import parse_modelfile
from ollamax.store import Store

MODELS = (
    *("llama-1b Q4_0", "qwen2-0.5b Q8_0", "llama-1b Q4_K_M"),
    *("llama-1b F16", "llama-1b Q8_0", "qwen2-0.5b Q4_0", "qwen2-0.5b Q4_K_M", "qwen2-0.5b F16"),
)
DEFAULT = MODELS[:3]
ROWS = ("start", "memory", "prompt", "decode", "sequences")
SIZES = Sizes(prompts=(512,), depths=(0, 256, 2048), sequences=(8,))
KEPT = "onnx, kept"
BACKENDS = ("onnx", "ggml", "cpu", "metal")
CACHE = {"ggml": "f16", "cpu": "f32", "onnx": "f32", "metal": "f16"}
WIDTHS = (20, 52, 12, 18, 18, 8, 6)

TARGETS = (
    Target("onnx", "llama-1b Q4_0", "prompt 512", 1.00),
    Target("onnx", "llama-1b Q4_0", "decode 128 behind 0", 0.97),
    Target("onnx", "llama-1b Q4_0", "decode 128 behind 256", 0.97),
    Target("onnx", "qwen2-0.5b Q8_0", "prompt 512", 1.70),
    Target("onnx", "qwen2-0.5b Q8_0", "decode 128 behind 0", 0.97),
    Target("onnx", "qwen2-0.5b Q8_0", "decode 128 behind 256", 0.97),
    *(
        Target("onnx", "llama-1b Q4_0", f"{title}, beside {GENAI}", 1.00)
        for title in ("prompt 512", *(f"decode 128 behind {depth}" for depth in SIZES.depths))
    ),
    Target("onnx", "", "8 sequences", 0.95),
    Target("onnx", "", "start to first token", 1.00),
    Target("onnx", "", "peak memory", 1.00),
    Target(KEPT, "", "start to first token", 1.00),
    Target(KEPT, "", "peak memory", 1.00),
    Target("onnx", "", "decode behind 2048, of that behind 256", 0.85),
    Target("onnx", "", "prompt 512, of that with Q4_0", 0.90),
    Target("onnx", "", "decode 128 behind 0, of that with Q4_0", 0.90),
)
"""Ratios to reach; an empty model stands for all of them."""


def contenders(path: Path, given: argparse.Namespace) -> list[Contender]:
    """The chosen backends, llama.cpp and, if asked for, onnxruntime-genai, with one file."""
    found = []
    for backend in given.backend:
        threads = None if backend == "metal" else given.threads  # MLX does not let one choose
        options = {"num_thread": threads, "num_batch": 512, "cache_type": CACHE[backend]}
        found.append(own_contender(str(path), backend, **options))
    found.append(rival_contender(path, given.threads, given.rival))
    if given.genai and path.stem.endswith("-Q4_0"):
        found.append(genai_contender(built_model(path, given.genai), given.threads, given.genai))
    if "onnx" in given.backend and {"start", "memory"} & set(given.rows):
        found.insert(0, kept_contender(path, given))
    return found


def kept_contender(path: Path, given: argparse.Namespace) -> Contender:
    """ONNX Runtime with a stored model, whose packed weights are kept from its first load on."""
    store, name = given.folder / "store", path.stem.lower()
    create(name, parse_modelfile(f"FROM ./{path.name}"), path.parent, store=Store(store))
    options = {"num_thread": given.threads, "num_batch": 512, "cache_type": CACHE["onnx"], "label": KEPT}
    environment = {"OLLAMAX_MODELS": str(store), "OLLAMAX_KEEP_COMPILED": "1"}
    return replace(own_contender(name, "onnx", **options), environment=environment, only_fresh=True)


def measure(path: Path, given: argparse.Namespace, sizes: Sizes) -> tuple[dict[str, str], Iterator[Measured]]:
    """The versions of what is measured, and the rows of one model as they come."""
    trained = min(shape.context for shape in SHAPES.values())
    jobs, left = plan(sizes, given.rows, trained)
    assert not left
    measurement = Measurement(contenders(path, given), given.pairs)
    abouts = measurement.about(context=64)
    versions = {name: text for about in abouts.values() for name, text in about["versions"].items()}
    return versions, measurement.run(jobs, abouts)


def chosen_backends(text: str) -> list[str]:
    """Backends between commas."""
    names = list(dict.fromkeys(text.split(",")))
    if unknown := set(names) - set(BACKENDS):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))} is not one of {', '.join(BACKENDS)}")
    return names


def options() -> argparse.ArgumentParser:
    """The command line."""
    made = parser(__doc__, MODELS, ROWS)
    made.set_defaults(models=list(DEFAULT))
    made.add_argument("--backend", type=chosen_backends, default=["onnx"], help=f"of {', '.join(BACKENDS)}")
    made.add_argument("--genai", metavar="PYTHON", help=f"a Python that has {GENAI}, for models of Q4_0")
    made.add_argument("--steps", type=int, default=SIZES.steps, help="tokens of a decode")
    return made


def show(model: str, lines: Sequence[Line]) -> None:
    """Print the lines of a row."""
    for line in lines:
        print_row((model, line.title, line.backend, line.own, line.rival, line.ratio, line.target), WIDTHS)


def main() -> None:
    """Print the table as it comes."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # for the rival, which ollamax does not load
    given = options().parse_args()
    if given.genai and not any(name.endswith(" Q4_0") for name in given.models):
        raise SystemExit("--genai takes models of Q4_0 only, and none is among --models")
    sizes = Sizes(SIZES.prompts, given.steps, SIZES.depths, SIZES.sequences)
    if given.write and (set(given.rows) != set(ROWS) or sizes != SIZES):
        raise SystemExit("--write takes all kinds of rows and 128 steps; leave out --rows and --steps")
    bandwidth = read_bandwidth()
    print(f"memory bandwidth: {bandwidth / 1e9:.1f} GB/s")
    print_row(("model", "row", "backend", "ollamax", RIVAL, "ratio", "aim"), WIDTHS)
    found: dict[str, list[Measured]] = {}
    for name in given.models:
        shape, kind = name.split()
        path = given.folder / f"random-{shape}-{kind}.gguf"
        write_random_model(path, SHAPES[shape], parse_file_type(kind), given.vocabulary)
        versions, rows = measure(path, given, sizes)
        found[name] = []
        lines: list[Line] = []
        for row in rows:
            show(name, new := lines_of(name, row, TARGETS))
            found[name].append(row)
            lines += new
        show(name, new := kept_rates(name, found, TARGETS))
        if given.write:
            machine = f"{given.threads} threads, {bandwidth / 1e9:.0f} GB/s, pairs for each row: {given.pairs}"
            write_section(name, machine, versions, [*lines, *new])


if __name__ == "__main__":
    main()
