"""Tensors under one pattern, ``blk.{0..15}.attn_q.weight``, where only the numbers in their names differ."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from ollamax.convert.mapping import MappedTensor

_NUMBER = re.compile(r"(?<![^.])[0-9]+(?![^.])")


@dataclass(frozen=True, slots=True)
class TensorGroup:
    """``count`` tensors of one shape and type.

    ``becomes`` is the pattern of their names in GGUF, several where each becomes several tensors; empty where they have
    none, or have those names already.
    """

    pattern: str
    count: int
    shape: tuple[int, ...]
    dtype: str
    becomes: str = ""


def group_tensors(rows: Iterable[MappedTensor]) -> list[TensorGroup]:
    """The tensors that a file holds, grouped, in the order of the first of each group."""
    groups: dict[_Key, list[tuple[str, str]]] = {}
    for source, parts in groupby((row for row in rows if row.source), key=lambda row: row.source):
        row, *others = parts
        target = ", ".join(one.info.name for one in (row, *others) if one.info and one.info.name != source)
        key = _Key(_NUMBER.sub("#", source), _NUMBER.sub("#", target), row.shape, row.stored)
        groups.setdefault(key, []).append((source, target))
    return [
        TensorGroup(_pattern(sources), len(sources), key.shape, key.dtype, _pattern(targets))
        for key, names in groups.items()
        for sources, targets in (zip(*box, strict=True) for box in _boxes(names))
    ]


class _Key(NamedTuple):
    """What the tensors of a group have in common."""

    source: str
    target: str
    shape: tuple[int, ...]
    dtype: str


def _boxes(names: Sequence[tuple[str, str]]) -> list[Sequence[tuple[str, str]]]:
    """``names`` cut so that in each part every combination of the numbers occurs, as a pattern says."""
    numbers = [_NUMBER.findall(source) for source, _ in names]
    if math.prod(len(set(column)) for column in zip(*numbers, strict=True)) == len(names):
        return [names]
    # Whatever the numbers are: the tensors of one layer are a part.
    layers: dict[str, list[tuple[str, str]]] = {}
    for name, found in zip(names, numbers, strict=True):
        layers.setdefault(found[0], []).append(name)
    if len(layers) > 1:
        return [box for part in layers.values() for box in _boxes(part)]
    return [[name] for name in names]


def _pattern(names: Sequence[str]) -> str:
    """The common form of names that differ in their numbers only."""
    columns = zip(*(_NUMBER.findall(name) for name in names), strict=True)
    ranges = iter([_ranges({int(number) for number in column}) for column in columns])
    return _NUMBER.sub(lambda _: next(ranges), names[0])


def _ranges(numbers: set[int]) -> str:
    """``3`` for one number, ``{0..3,6}`` for several."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    if len(numbers) == 1:
        return str(runs[0][0])
    return "{" + ",".join(f"{run[0]}..{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs) + "}"
