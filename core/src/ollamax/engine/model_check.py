"""Whether a model will load: its options, tensors, tokenizer and template, each looked at by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ollamax.engine.options import Options, parameters
from ollamax.errors import OllamaxError
from ollamax.modelfile import Modelfile
from ollamax.plugins import Registry
from ollamax.types import TensorInfo

if TYPE_CHECKING:
    from ollamax.arch import Architecture
    from ollamax.gguf import Metadata

Step = Callable[[], object]


class ModelCheck:
    """What is to be checked of a model at ``path`` with the settings of ``modelfile``.

    Each method raises an OllamaxError where the model would not load, and does not depend on the others.
    """

    def __init__(
        self,
        modelfile: Modelfile,
        metadata: Mapping[str, Any],
        tensors: Mapping[str, TensorInfo],
        path: Path,
        registry: Registry,
    ) -> None:
        self._modelfile, self._metadata, self._tensors = modelfile, metadata, tensors
        self._path, self._registry = path, registry

    def run(self) -> None:
        """Take every step; raises the first error."""
        for step in (self.options, self.binding, self.context, self.tokenizer, self.chat):
            step()

    def options(self) -> Options:
        """Names and values of the options."""
        return Options().merge(parameters(self._modelfile.parameters))

    def binding(self) -> None:
        """Whether the architecture is installed and its parameters are the tensors."""
        from ollamax.arch.binding import bind

        config, architecture = self._architecture()
        bind(architecture(config), self._tensors, str(self._path))

    def context(self) -> None:
        """Whether the model was trained for as much context as the options ask for."""
        from ollamax.engine.context import context_length

        config, _ = self._architecture()
        context_length(config, self.options())

    def tokenizer(self) -> None:
        """Whether the tokenizer can be built, and gives the ids of the checkpoint that it was made of."""
        from ollamax.tokenizer.id_check import check_ids
        from ollamax.tokenizer.registry import build_tokenizer

        tokenizer = build_tokenizer(self._metadata, self._registry.tokenizers)
        # Only text makes a tokenizer put its merges together.
        tokenizer.encode("a")
        if self._path.is_dir():
            check_ids(self._path, self._metadata, tokenizer)

    def template(self) -> None:
        """Whether the template is well-formed."""
        from ollamax.template import choose_template

        choose_template(self._modelfile.template, self._metadata)

    def chat(self) -> None:
        """Whether the template is well-formed, and there is a chat that it renders."""
        from ollamax.template import choose_template
        from ollamax.template.trial import try_template

        template = choose_template(self._modelfile.template, self._metadata)
        try_template(template, system=self._modelfile.system, before=self._modelfile.messages)

    def _architecture(self) -> tuple[Metadata, type[Architecture]]:
        from ollamax.gguf import Metadata

        config = Metadata(self._metadata, self._path)
        return config, self._registry.architecture(config.string("general.architecture"))


def find_problems(steps: Iterable[Step]) -> list[str]:
    """The errors of all ``steps``; one that several come upon is told once."""
    problems: dict[str, None] = {}
    for step in steps:
        try:
            step()
        except OllamaxError as error:
            problems[str(error)] = None
    return list(problems)
