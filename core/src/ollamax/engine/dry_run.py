"""What ``create`` would make of a model, tensor by tensor, without writing anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ollamax.convert.mapping import MappedTensor, Status
from ollamax.engine.create import check_own
from ollamax.engine.model_check import ModelCheck
from ollamax.engine.origin import Origin, find_origin, inherit
from ollamax.engine.source import open_converter, open_source
from ollamax.errors import OllamaxError
from ollamax.modelfile import Modelfile
from ollamax.plugins import Registry, get_registry
from ollamax.store import ModelName, Store
from ollamax.types import TensorInfo

if TYPE_CHECKING:
    from ollamax.convert.file_type import FileType


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

    Tensors that cannot be converted are in the plan, as is what is wrong with the model as a whole. Raises an
    OllamaxError where there is nothing to plan for: no such model, a checkpoint that cannot be opened, a config.json
    that the converter refuses.
    """
    from ollamax.convert.file_type import parse_file_type
    from ollamax.convert.mix import choose_types

    full_name, registry = ModelName.parse(name), get_registry()
    kind = None if quantize is None else parse_file_type(quantize)
    origin = find_origin(check_own(modelfile), base_dir, store or Store(), registry)
    rows, metadata = _rows(origin, registry)
    problems = [row.problem for row in rows if row.status.fails]
    infos = {row.info.name: row.info for row in rows if row.info}
    if not problems:
        infos, problems = _examine(origin, modelfile, kind, registry, requantize)
    targets = infos
    if kind is not None:
        targets = choose_types(kind, infos, metadata, registry.writers().dtypes)
    planned = [_planned(row, targets) for row in rows]
    mapped = {row.info.name for row in rows if row.info}
    added = [info for name, info in targets.items() if name not in mapped]
    planned += [PlannedTensor(Status.ADDED, "", "", info.shape, info, "") for info in added]
    return Plan(full_name, planned, problems)


def _rows(origin: Origin, registry: Registry) -> tuple[list[MappedTensor], Mapping[str, Any]]:
    """The tensors of a checkpoint by its converter's rules, and hyper-parameters; those of a file become themselves."""
    from ollamax.convert.mapping import map_tensors

    if origin.path.is_dir():
        checkpoint, converter = open_converter(origin.path, registry)
        with closing(checkpoint):
            metadata = {"general.architecture": converter.architecture, **converter.hyper_parameters()}
            return map_tensors(checkpoint.tensors, converter), metadata
    with closing(open_source(origin.path, registry)) as source:
        rows = [
            MappedTensor(Status.MAPPED, info.name, info.dtype.name, info.shape, info)
            for info in source.tensors.values()
        ]
        return rows, dict(source.metadata)


def _examine(
    origin: Origin, modelfile: Modelfile, kind: FileType | None, registry: Registry, requantize: bool
) -> tuple[dict[str, TensorInfo], list[str]]:
    """All tensors before quantisation, and what is wrong with the model as a whole."""
    from ollamax.convert.quantize import Quantized

    infos: dict[str, TensorInfo] = {}
    try:
        with closing(open_source(origin.path, registry)) as source:
            infos.update(source.tensors)
            result = inherit(modelfile, origin.modelfile)
            ModelCheck(result, source.metadata, source.tensors, origin.path, registry).run()
            if kind is not None:
                Quantized(source, kind, registry.writers(), requantize=requantize)
    except OllamaxError as error:
        return infos, [str(error)]
    return infos, []


def _planned(row: MappedTensor, targets: Mapping[str, TensorInfo]) -> PlannedTensor:
    target = targets.get(row.info.name) if row.info else None
    return PlannedTensor(row.status, row.source, row.stored, row.shape, target, row.problem)
