"""The prompt that a chat becomes, made without loading any weights."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ollamax.arch import VisionArchitecture
from ollamax.engine.chat import ChatMessage, read_messages
from ollamax.engine.prompter import Prompter
from ollamax.engine.resolve import resolve
from ollamax.engine.source import open_source
from ollamax.gguf import Metadata
from ollamax.plugins import Registry, get_registry
from ollamax.template import choose_template
from ollamax.tokenizer.base import Tokenizer
from ollamax.tokenizer.registry import build_tokenizer
from ollamax.types import Message, TensorSource


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prompt: its text, the ids that the model reads, and each id's text in the vocabulary."""

    text: str
    ids: list[int]
    tokens: list[str]


def render(name: str, messages: Sequence[ChatMessage | Message]) -> Rendered:
    """The prompt that ``chat`` gives the model called ``name`` for ``messages``, however long it is.

    Raises UsageError for what is no message, TemplateError, TokenizerError, OptionError for pictures that the model
    cannot see, and what ``open_source`` raises.
    """
    turns, registry = read_messages(messages), get_registry()
    found = resolve(name)
    with closing(open_source(found.path, registry)) as source:
        tokenizer = build_tokenizer(source.metadata, registry.tokenizers)
        template = choose_template(found.modelfile.template, source.metadata)
        images = any(turn.images for turn in turns)
        mark = _mark(source, found.path, tokenizer, registry) if images else None
        prompter = Prompter(found.name, tokenizer, template, found.modelfile.system, mark)
        prompter.check_sight(images)
        text = prompter.text([*found.modelfile.messages, *turns])
        ids = prompter.ids(text)
        return Rendered(text, ids, [tokenizer.token_text(token) for token in ids])


def _mark(source: TensorSource, path: Path, tokenizer: Tokenizer, registry: Registry) -> str | None:
    metadata = Metadata(source.metadata, path)
    model = registry.architecture(metadata.string("general.architecture"))(metadata)
    return tokenizer.token_text(model.image_token) if isinstance(model, VisionArchitecture) else None
