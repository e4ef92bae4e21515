"""The prompt-template contract: chat messages to the text that a model was trained on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from ollamax.types import Message


class Template(ABC):
    """Renders a chat as one prompt.

    ``source`` is the template's own text; empty where there is none.
    """

    source: str = ""
    places_pictures: bool = False
    """Whether it says itself where a message's pictures stand; else they stand before the message's text."""

    @abstractmethod
    def render(self, messages: Sequence[Message], *, system: str | None = None) -> str:
        """The prompt for ``messages``, ending where the assistant's next answer begins.

        ``system`` is the default system message, used when ``messages`` has none. Raises TemplateError.
        """

    @property
    def stops(self) -> tuple[str, ...]:
        """Texts that end an answer as far as the template itself tells."""
        return ()
