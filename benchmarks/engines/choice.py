"""What a benchmark is asked for on its command line, and its contenders."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from random_models import VOCABULARIES

from ollamax.bench.plan import KINDS
from ollamax.bench.worker import Contender

ROOT = Path(__file__).parents[2]
ENGINES = Path(__file__).parent
RIVAL, GENAI = "llama.cpp", "onnxruntime-genai"


def rival_contender(path: Path, threads: int, python: str) -> Contender:
    """llama.cpp with one file, run by ``python``, which has llama-cpp-python."""
    return _foreign(RIVAL, "llama_cpp_engine.py", path, threads, python)


def genai_contender(directory: Path, threads: int, python: str) -> Contender:
    """onnxruntime-genai with a model that its builder made, run by ``python``, which has it."""
    return _foreign(GENAI, "genai_engine.py", directory, threads, python)


def _foreign(label: str, engine: str, model: Path, threads: int, python: str) -> Contender:
    # That Python may be one without ollamax; its worker needs ollamax.bench.work.
    environment = {"PYTHONPATH": str(ROOT / "core" / "src")}
    return Contender(label, [python, str(ENGINES / engine), str(model), f"--threads={threads}"], environment)


def models_of(known: Collection[str]) -> Callable[[str], list[str]]:
    """Reads models that have all words of one of the entries between commas, such as "F16" or "llama-1b Q4_0"."""

    def chosen(text: str) -> list[str]:
        entries = [set(entry.split()) for entry in text.split(",")]
        found = [model for model in known if any(entry <= set(model.split()) for entry in entries)]
        if not found or not all(entry and any(entry <= set(model.split()) for model in known) for entry in entries):
            raise argparse.ArgumentTypeError(f"{text!r} names none of {', '.join(known)}")
        return found

    return chosen


def kinds_of(known: Collection[str]) -> Callable[[str], list[str]]:
    """Reads kinds of rows between commas."""

    def chosen(text: str) -> list[str]:
        kinds = text.split(",")
        if unknown := set(kinds) - set(known):
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))} is not one of {', '.join(known)}")
        return kinds

    return chosen


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


def parser(text: str | None, models: Sequence[str], kinds: Sequence[str]) -> argparse.ArgumentParser:
    """The options that benchmarks beside llama.cpp share; by default all ``models`` and ``kinds`` of rows."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--models", type=models_of(models), default=list(models), help=f"of {', '.join(models)}")
    made.add_argument("--rows", type=kinds_of(kinds), default=list(kinds), help=f"of {', '.join(kinds)}")
    made.add_argument("--pairs", type=Pairs, default=Pairs("7"), help="such as 7, or 7,decode=3,sequences=5")
    made.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    made.add_argument("--rival", default=sys.executable, help="the Python that has llama-cpp-python")
    made.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where the models go")
    made.add_argument("--vocabulary", type=Path, default=VOCABULARIES)
    made.add_argument("--write", action="store_true", help="write docs/performance.md")
    return made


def print_row(texts: Sequence[str], widths: Sequence[int]) -> None:
    """A line of the table."""
    print("".join(text.ljust(width) for text, width in zip(texts, widths, strict=True)), flush=True)
