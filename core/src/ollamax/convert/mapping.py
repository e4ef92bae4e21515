"""What becomes of every tensor of a checkpoint: its name, shape and type in GGUF, or why it has none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from ollamax.convert.base import Converter
from ollamax.convert.weight_file import StoredTensor
from ollamax.types import DType, TensorInfo

FLOATS = {"F32": DType.F32, "F16": DType.F16, "BF16": DType.BF16}


class Status(StrEnum):
    """What is to be said of a tensor; all but MAPPED, ADDED and IGNORED make the conversion fail."""

    MAPPED = "mapped"
    ADDED = "added"  # made by the converter
    IGNORED = "ignored"  # left out on purpose
    UNMAPPED = "unmapped"  # no rule, no place of its own, or a type that cannot be converted
    UNUSED = "unused"  # config.json does not call for it
    MISSHAPEN = "misshapen"
    MISSING = "missing"

    @property
    def fails(self) -> bool:
        """Whether a conversion stops at this."""
        return self not in (Status.MAPPED, Status.ADDED, Status.IGNORED)


@dataclass(frozen=True, slots=True)
class MappedTensor:
    """One tensor. ``source`` is its name in the checkpoint and ``stored`` its type there; empty for what is not in it.

    ``info`` is what it becomes, before quantisation; None if it becomes nothing. ``problem`` says what is wrong.
    ``first`` is the row of the source with which it begins, where it is a part of a fused tensor.
    """

    status: Status
    source: str
    stored: str
    shape: tuple[int, ...]
    info: TensorInfo | None = None
    problem: str = ""
    first: int = 0


@dataclass(frozen=True, slots=True)
class _Part:
    """A tensor of the checkpoint, or some of the rows of a fused one, with the name that it gets; None for no name."""

    stored: StoredTensor
    name: str | None
    shape: tuple[int, ...]
    first: int = 0
    problem: str = ""


def map_tensors(tensors: Mapping[str, StoredTensor], converter: Converter) -> list[MappedTensor]:
    """Every tensor of the checkpoint in its order, then those that are missing, by name."""
    rows: list[MappedTensor] = []
    sources: dict[str, str] = {}
    expected, copies, splits = converter.shapes(), converter.copies(), converter.splits()
    for source, stored in tensors.items():
        name = None if converter.skips(source) else gguf_name(converter, source)
        for part in _parts(stored, name, splits):
            for each in (part.name, *(copy for copy, original in copies.items() if original == part.name)):
                rows.append(_row(converter, replace(part, name=each), sources, expected))
                if each is not None:
                    sources.setdefault(each, source)
    for name in sorted(expected.keys() - sources.keys()):
        shape = expected[name]
        rows.append(MappedTensor(Status.MISSING, "", "", shape, problem=f"{name} is missing ({show_shape(shape)})"))
    return rows


def _parts(stored: StoredTensor, name: str | None, splits: Mapping[str, Mapping[str, int]]) -> Iterator[_Part]:
    """What a tensor is taken apart into; most are their only part."""
    fused = splits.get(name) if name else None
    if not fused:
        yield _Part(stored, name, stored.shape)
        return
    problem = ""
    if stored.shape[:1] != (total := sum(fused.values()),):
        problem = f"{stored.name} is {show_shape(stored.shape)}, expected {total} rows for {', '.join(fused)}"
    first = 0
    for part, rows in fused.items():
        yield _Part(stored, part, (rows, *stored.shape[1:]), first, problem)
        first += rows


def show_shape(shape: tuple[int, ...]) -> str:
    """``shape`` for people: 4096 x 64."""
    return " x ".join(map(str, shape)) if shape else "a scalar"


def _row(
    converter: Converter, part: _Part, sources: Mapping[str, str], expected: Mapping[str, tuple[int, ...]]
) -> MappedTensor:
    stored, name = part.stored, part.name

    def row(status: Status, info: TensorInfo | None = None, problem: str = "") -> MappedTensor:
        return MappedTensor(status, stored.name, stored.dtype, stored.shape, info, problem, part.first)

    if converter.skips(stored.name):
        return row(Status.IGNORED)
    if name is None:
        return row(Status.UNMAPPED, problem=f"{stored.name} (no rule for this name)")
    if name in sources:
        return row(Status.UNMAPPED, problem=f"{stored.name} (becomes {name}, as does {sources[name]})")
    if stored.dtype not in FLOATS:
        problem = f"{stored.name} (type {stored.dtype}; F32, F16 and BF16 are supported)"
        return row(Status.UNMAPPED, problem=problem)
    # Vectors and norms become F32, as llama.cpp writes them.
    plain = len(part.shape) <= 1 or name.endswith("_norm.weight")
    info = TensorInfo(name, DType.F32 if plain else FLOATS[stored.dtype], part.shape)
    if expected and name not in expected:
        return row(Status.UNUSED, info, f"{stored.name} is not part of such a model")
    problem = part.problem
    if expected and expected[name] != part.shape:
        problem = problem or f"{stored.name} is {show_shape(part.shape)}, not {show_shape(expected[name])}"
    return row(Status.MISSHAPEN if problem else Status.MAPPED, info, problem)


def gguf_name(converter: Converter, source: str) -> str | None:
    """What the converter's rename table makes of a checkpoint's name; None if no rule fits."""
    for pattern, replacement in converter.rename:
        match = re.match(pattern, source)
        if match:
            return match.expand(replacement) + source[match.end() :]
    return None
