"""Chats: reading messages, fitting them into the context, and collecting an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ollamax.engine.chunk import Chunk, DoneReason, Stats
from ollamax.engine.generate import check_fit
from ollamax.engine.picture import check_images, read_image
from ollamax.errors import UsageError
from ollamax.tokenizer.base import Tokenizer
from ollamax.types import Message

ChatMessage = Mapping[str, Any]

ROLES = ("system", "user", "assistant", "tool")
_KEYS = {"role", "content", "images"}


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer: its text, why it ended, what it cost, and perhaps a notice about messages left out."""

    text: str
    done_reason: DoneReason | None
    stats: Stats | None
    notice: str | None = None

    @property
    def message(self) -> dict[str, str]:
        """The answer as a message, to be appended to the chat."""
        return {"role": "assistant", "content": self.text}


@dataclass(frozen=True, slots=True)
class Prompt:
    """A chat as token ids, its pictures, and what had to be left out."""

    ids: list[int]
    notice: str | None = None
    images: tuple[bytes, ...] = ()


def read_messages(messages: Sequence[ChatMessage | Message]) -> list[Message]:
    """Checked messages; raises UsageError that names what is wrong with which one."""
    if not isinstance(messages, Sequence):
        raise UsageError(f"a chat is a list of messages, each with role and content, not {type(messages).__name__}")
    if not messages:
        raise UsageError("a chat needs at least one message")
    return [
        item if isinstance(item, Message) else _read(f"message {number}", item)
        for number, item in enumerate(messages, 1)
    ]


def _read(place: str, item: ChatMessage) -> Message:
    if not isinstance(item, Mapping):
        raise UsageError(f"{place} is of type {type(item).__name__}; expected a mapping with role and content")
    unknown = sorted(map(repr, set(item) - _KEYS))
    if unknown:
        raise UsageError(f"{place} has {', '.join(unknown)}; known are role, content and images")
    role, content, images = item.get("role"), item.get("content"), check_images(place, item.get("images"))
    if role not in ROLES:
        raise UsageError(f"{place} has role {role!r}; expected one of {', '.join(ROLES)}")
    if not isinstance(content, str):
        raise UsageError(f"{place} has content of type {type(content).__name__}; expected text")
    return Message(role, content, tuple(read_image(place, image) for image in images))


def fit(
    encode: Callable[[Sequence[Message]], list[int]], messages: Sequence[Message], capacity: int, tokenizer: Tokenizer
) -> Prompt:
    """The prompt for as many of the last ``messages`` as fit, system messages always among them.

    Raises ContextFullError when even the last message does not fit.
    """
    kept = list(messages)
    dropped = 0
    ids = encode(kept)
    while len(ids) >= capacity:
        oldest = next((at for at, message in enumerate(kept[:-1]) if message.role != "system"), None)
        if oldest is None:
            check_fit(ids, capacity, tokenizer)
            break
        # A user's turn goes together with its answer: a chat does not begin with an answer.
        del kept[oldest]
        dropped += 1
        while oldest < len(kept) - 1 and kept[oldest].role in ("assistant", "tool"):
            del kept[oldest]
            dropped += 1
        ids = encode(kept)
    images = tuple(image for message in kept for image in message.images)
    if not dropped:
        return Prompt(ids, images=images)
    what = "message was" if dropped == 1 else f"{dropped} messages were"
    notice = f"the oldest {what} left out: the context holds {capacity} tokens; raise num_ctx to keep more"
    return Prompt(ids, notice, images)


def collect(chunks: Iterable[Chunk]) -> Reply:
    """Read a stream to its end."""
    texts, notice, last = [], None, Chunk("")
    for last in chunks:
        texts.append(last.text)
        notice = notice or last.notice
    return Reply("".join(texts), last.done_reason, last.stats, notice)
