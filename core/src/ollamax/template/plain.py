"""The template of models that were trained on no chat format."""

from __future__ import annotations

from collections.abc import Sequence

from ollamax.template.base import Template
from ollamax.template.turns import with_default_system
from ollamax.types import Message


class PlainTemplate(Template):
    """Joins the messages as they are, with nothing between them: a base model goes on with the text it is given."""

    def render(self, messages: Sequence[Message], *, system: str | None = None) -> str:
        """The contents of all messages, the system message first."""
        return "".join(message.content for message in with_default_system(messages, system))
