"""A Modelfile as data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ollamax.errors import ModelfileError
from ollamax.modelfile.quote import quoted
from ollamax.types import Message


@dataclass(slots=True)
class Modelfile:
    """The instructions of a Modelfile; ``str()`` writes one that parses back equal.

    ``from_`` is exactly what FROM says: a model's name, a .gguf file or a checkpoint's directory, relative to the
    Modelfile; None only in a fragment. ``parameters`` holds all values of each PARAMETER in the order given, as
    text: which names exist, what type they have and that the last value of a scalar counts is the option table's
    to say. ``template`` is a Go template. ``places`` says where each value of ``parameters`` was read, as in
    ``Modelfile, line 3``; it is empty for a Modelfile that was not read from text.
    """

    from_: str | None = None
    parameters: dict[str, list[str]] = field(default_factory=dict)
    template: str | None = None
    system: str | None = None
    licenses: list[str] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    places: dict[str, list[str]] = field(default_factory=dict, compare=False, repr=False)

    def __str__(self) -> str:
        """The text of the Modelfile; raises ModelfileError for a value that the grammar cannot express."""
        return "".join(f"{instruction} {_spelled(instruction, value)}\n" for instruction, value in self._lines())

    def _lines(self) -> Iterator[tuple[str, str]]:
        if self.from_ is not None:
            yield "FROM", self.from_
        if self.template is not None:
            yield "TEMPLATE", self.template
        if self.system is not None:
            yield "SYSTEM", self.system
        for name, values in self.parameters.items():
            for value in values:
                yield f"PARAMETER {name}", value
        for message in self.messages:
            yield f"MESSAGE {message.role}", message.content
        for text in self.licenses:
            yield "LICENSE", text


def _spelled(instruction: str, value: str) -> str:
    spelled = quoted(value)
    if spelled is None:
        raise ModelfileError(
            f"{instruction}: a Modelfile cannot express this text, because a line inside it ends with "
            "triple quotes; put something after them"
        )
    return spelled
