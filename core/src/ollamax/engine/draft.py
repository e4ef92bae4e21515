"""A model as it would be if its tensors were sound, so that what is wrong beside them is found as well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ollamax.convert.base import Converter
from ollamax.convert.mapping import MappedTensor, Status, map_tensors
from ollamax.engine.model_check import ModelCheck, Step, find_problems
from ollamax.engine.origin import Origin, inherit
from ollamax.engine.parameter_lines import line_errors
from ollamax.engine.source import open_converter, open_source, read_tokenizer
from ollamax.errors import OllamaxError
from ollamax.modelfile import Modelfile
from ollamax.plugins import Registry
from ollamax.types import DType, TensorInfo


@dataclass(slots=True)
class Draft:
    """What is known of a model: a row for each tensor, the GGUF keys as far as they can be had, and what is wrong.

    ``tensors`` are those before quantisation, in the shapes that they should have.
    """

    path: Path
    rows: list[MappedTensor]
    tensors: dict[str, TensorInfo]
    metadata: Mapping[str, Any]
    problems: list[str] = field(default_factory=list)
    tokenizer: bool = True
    """Whether the tokenizer's keys are among ``metadata``."""

    @property
    def infos(self) -> dict[str, TensorInfo]:
        """The tensors as they would be written, before quantisation: in the shapes that they have."""
        found = {row.info.name: row.info for row in self.rows if row.info}
        return found if any(row.status.fails for row in self.rows) else self.tensors

    def examine(self, modelfile: Modelfile, origin: Origin, registry: Registry) -> None:
        """Add to ``problems`` whatever would keep the model from loading with these settings."""
        wrong = [str(error) for error in line_errors(modelfile)]
        own = replace(modelfile, parameters={}) if wrong else modelfile
        check = ModelCheck(inherit(own, origin.modelfile), self.metadata, self.tensors, self.path, registry)
        steps: list[Step] = [check.options, check.binding, check.context]
        steps += [check.tokenizer, check.chat] if self.tokenizer else [check.template]
        self.problems += [*wrong, *find_problems(steps)]


@contextmanager
def open_draft(path: Path, registry: Registry) -> Iterator[Draft]:
    """The draft of the .gguf file or Hugging Face directory at ``path``, valid within the block.

    Raises an OllamaxError where there is nothing to look at: a file or checkpoint that cannot be opened, or a
    config.json that the converter refuses.
    """
    if path.is_dir():
        yield _of_checkpoint(path, registry)
        return
    source = open_source(path, registry)
    try:
        tensors = dict(source.tensors)
        rows = [MappedTensor(Status.MAPPED, info.name, info.dtype.name, info.shape, info) for info in tensors.values()]
        yield Draft(path, rows, tensors, source.metadata)
    finally:
        source.close()


def _of_checkpoint(directory: Path, registry: Registry) -> Draft:
    checkpoint, converter = open_converter(directory, registry)
    try:
        rows = map_tensors(checkpoint.tensors, converter)
        metadata = {"general.architecture": converter.architecture, **converter.hyper_parameters()}
        problems = [row.problem for row in rows if row.status.fails]
        draft = Draft(directory, rows, _sound(rows, converter), metadata, problems)
        try:
            draft.metadata = metadata | read_tokenizer(directory, converter, registry)
        except OllamaxError as error:
            draft.problems.append(str(error))
            draft.tokenizer = False
        return draft
    finally:
        checkpoint.close()


def _sound(rows: Iterable[MappedTensor], converter: Converter) -> dict[str, TensorInfo]:
    """The tensors of ``rows`` with those that are missing, and in the shapes that config.json calls for."""
    tensors = {row.info.name: row.info for row in rows if row.info and row.status is Status.MAPPED}
    if not any(row.status.fails for row in rows):
        # Their size follows config.json, which agrees with weights that exist.
        extras = converter.extras()
        return tensors | {extra.name: TensorInfo(extra.name, DType.F32, tuple(extra.value.shape)) for extra in extras}
    for name, shape in converter.shapes().items():
        tensors.setdefault(name, TensorInfo(name, DType.F32, shape))
    return tensors
