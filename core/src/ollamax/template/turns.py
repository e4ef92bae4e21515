"""Putting the turns of a chat in order before they are rendered."""

from __future__ import annotations

from collections.abc import Sequence

from ollamax.types import Message


def with_default_system(messages: Sequence[Message], system: str | None) -> list[Message]:
    """``messages``, led by ``system`` where that is given and no message has the role "system"."""
    if not system or any(message.role == "system" for message in messages):
        return list(messages)
    return [Message("system", system), *messages]


def merge_neighbours(messages: Sequence[Message]) -> list[Message]:
    """Neighbouring messages of one role as one, their texts joined by an empty line; tool results stay apart.

    Ollama does so before it renders a Go template (``collate`` in its ``template/template.go``).
    """
    merged: list[Message] = []
    for message in messages:
        if merged and message.role == merged[-1].role != "tool":
            last = merged[-1]
            text = f"{last.content}\n\n{message.content}"
            merged[-1] = Message(message.role, text, (*last.images, *message.images))
        else:
            merged.append(message)
    return merged
