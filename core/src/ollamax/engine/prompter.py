"""From a chat to the prompt that a model is given: its text by the template, and the ids of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ollamax.errors import OptionError
from ollamax.template import Template
from ollamax.tokenizer.base import Tokenizer
from ollamax.types import Message


@dataclass(frozen=True, slots=True)
class Prompter:
    """Makes the prompts of one model, called ``name`` in messages.

    ``system`` is the default system message; ``mark`` the text of the token that stands for a picture, None for a
    model that sees none.
    """

    name: str
    tokenizer: Tokenizer
    template: Template
    system: str | None = None
    mark: str | None = None

    def text(self, messages: Sequence[Message]) -> str:
        """What the template makes of ``messages``; raises TemplateError."""
        if self.mark is not None and not self.template.places_pictures:
            messages = [replace(turn, content=self.mark * len(turn.images) + turn.content) for turn in messages]
        return self.template.render(messages, system=self.system)

    def ids(self, text: str) -> list[int]:
        """The ids of what ``text`` gave."""
        bos = self.tokenizer.bos
        # Many templates write the beginning-of-text token themselves; it must not stand there twice.
        written = bos is not None and text.startswith(self.tokenizer.token_text(bos))
        return self.tokenizer.encode(text, add_bos=False if written else None) or self.beginning()

    def beginning(self) -> list[int]:
        """The prompt of an empty text; raises OptionError where the model has no token to begin one with."""
        for token in (self.tokenizer.bos, self.tokenizer.eos):
            if token is not None:
                return [token]
        raise OptionError(f"the prompt is empty and {self.name} has no token to begin a text with; give a prompt")

    def check_sight(self, images: bool) -> None:
        """Raise OptionError for pictures that the model cannot see."""
        if images and self.mark is None:
            raise OptionError(f"{self.name} cannot see pictures: its architecture has no vision part; leave them out")
