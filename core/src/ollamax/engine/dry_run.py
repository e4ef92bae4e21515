"""What ``create`` would make of a model, tensor by tensor, without writing anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ollamax.convert.mapping import MappedTensor, Status
from ollamax.engine.create import named_origin
from ollamax.engine.draft import open_draft
from ollamax.engine.origin import find_origin
from ollamax.engine.source import open_source
from ollamax.errors import OllamaxError
from ollamax.modelfile import Modelfile
from ollamax.plugins import Registry, get_registry
from ollamax.store import ModelName, Store
from ollamax.types import TensorInfo

if TYPE_CHECKING:
    from ollamax.convert.file_type import FileType
    from ollamax.convert.quantizer import Quantizers


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """A tensor of the source, or one that is missing or added. ``target`` is what is written, None for nothing."""

    status: Status
    source: str
    stored: str
    shape: tuple[int, ...]
    target: TensorInfo | None
    problem: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All tensors, and what would make ``create`` fail: one line each."""

    name: ModelName
    tensors: list[PlannedTensor]
    problems: list[str]

    @property
    def counts(self) -> dict[str, int]:
        """How many tensors have each status."""
        found = Counter(tensor.status for tensor in self.tensors)
        return {str(status): found[status] for status in Status if found[status]}

    @property
    def nbytes(self) -> int:
        """Bytes of tensor data that would be written."""
        return sum(tensor.target.nbytes for tensor in self.tensors if tensor.target)


def dry_run(
    name: str,
    modelfile: Modelfile,
    base_dir: Path,
    quantize: str | None = None,
    store: Store | None = None,
    *,
    requantize: bool = False,
) -> Plan:
    """What ``create`` with the same arguments would do.

    Tensors that cannot be converted are in the plan, as is all that is wrong with options, binding, tokenizer and
    template. Raises an OllamaxError where there is nothing to plan for: no such model, a checkpoint that cannot be
    opened, a config.json that the converter refuses.
    """
    from ollamax.convert.file_type import parse_file_type
    from ollamax.convert.mix import choose_types

    full_name, registry = ModelName.parse(name), get_registry()
    kind = None if quantize is None else parse_file_type(quantize)
    origin = find_origin(named_origin(modelfile), base_dir, store or Store(), registry)
    with open_draft(origin.path, registry) as draft:
        draft.examine(modelfile, origin, registry)
        rows, problems = draft.rows, draft.problems
        targets: Mapping[str, TensorInfo] = draft.infos
        writers = None
        if kind is not None:
            writers = registry.writers()
            targets = choose_types(kind, targets, draft.metadata, writers.dtypes)
    if not problems:
        problems = _last_problem(origin.path, kind, registry, writers, requantize)
    planned = [_planned(row, targets) for row in rows]
    mapped = {row.info.name for row in rows if row.info}
    added = [info for name, info in targets.items() if name not in mapped]
    planned += [PlannedTensor(Status.ADDED, "", "", info.shape, info, "") for info in added]
    return Plan(full_name, planned, problems)


def _last_problem(
    path: Path, kind: FileType | None, registry: Registry, writers: Quantizers | None, requantize: bool
) -> list[str]:
    """What keeps the model from being opened as a whole, or its weights from being stored as ``kind``; or nothing."""
    from ollamax.convert.quantize import Quantized

    try:
        with closing(open_source(path, registry)) as source:
            if kind is not None:
                Quantized(source, kind, writers, requantize=requantize)
    except OllamaxError as error:
        return [str(error)]
    return []


def _planned(row: MappedTensor, targets: Mapping[str, TensorInfo]) -> PlannedTensor:
    target = targets.get(row.info.name) if row.info else None
    return PlannedTensor(row.status, row.source, row.stored, row.shape, target, row.problem)
