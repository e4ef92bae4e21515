"""The chat templates that model files bring along."""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import TemplateSyntaxError

from ollamax.errors import TemplateError
from ollamax.template.base import Template
from ollamax.template.jinja_sandbox import ChatEnvironment
from ollamax.template.meter import Meter
from ollamax.template.turns import with_default_system
from ollamax.types import Message

MAX_CHARACTERS = 512 * 1024
_CONTROL = re.compile(r"\s*(<\|?[^<>\s]{1,60}>)")
_SAMPLE = "ollamax-answer"


class JinjaTemplate(Template):
    """``tokenizer.chat_template`` of a GGUF file, rendered as ``transformers``' ``apply_chat_template`` does.

    ``special_tokens`` are the texts of ``bos_token``, ``eos_token`` and so on, as far as the tokenizer has them.
    The template sees these, ``messages``, ``add_generation_prompt`` (true), and ``tools`` and ``documents`` (None).

    A hostile template can neither reach Python's internals nor run or grow without end: see ``jinja_sandbox.py``.
    """

    places_pictures = True

    def __init__(self, source: str, *, special_tokens: Mapping[str, str] | None = None) -> None:
        """Compile ``source``; raises TemplateError with the line at fault."""
        if len(source) > MAX_CHARACTERS:
            raise TemplateError(f"the chat template has {len(source)} characters; {MAX_CHARACTERS} are allowed")
        self.source = source
        self.special_tokens = dict(special_tokens or {})
        self._lock = threading.Lock()  # the environment's meter counts one rendering
        self._environment = ChatEnvironment()
        try:
            self._template = self._environment.compile_chat(source)
        except TemplateSyntaxError as error:
            raise TemplateError(f"chat template, line {error.lineno}: {_one_line(error)}") from error
        except Exception as error:  # whatever odd source makes jinja2 or Python's compiler raise
            raise TemplateError(f"the chat template cannot be compiled: {_one_line(error)}") from error

    def render(self, messages: Sequence[Message], *, system: str | None = None) -> str:
        """The prompt for ``messages``, ending where the assistant's answer begins."""
        chat = [_fields(message) for message in with_default_system(messages, system)]
        return self._run(chat, add_generation_prompt=True)

    @functools.cached_property
    def stops(self) -> tuple[str, ...]:
        """The control token that the template writes behind an answer, such as ``<|im_end|>``."""
        chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": _SAMPLE}]
        try:
            behind = self._run(chat, add_generation_prompt=False).rpartition(_SAMPLE)[2]
        except TemplateError:
            return ()
        found = _CONTROL.match(behind)
        return (found[1],) if found else ()

    def _run(self, chat: list[dict[str, Any]], *, add_generation_prompt: bool) -> str:
        values = {"messages": chat, "tools": None, "documents": None, **self.special_tokens}
        with self._lock:
            self._environment.meter = Meter()
            try:
                return self._template.render(values, add_generation_prompt=add_generation_prompt)
            except Exception as error:  # a template may fail in any way, and its failure is the answer
                place = f"chat template, line {_line(error)}" if _line(error) else "chat template"
                raise TemplateError(f"{place}: {_one_line(error)}") from error


def _fields(message: Message) -> dict[str, Any]:
    if not message.images:
        return {"role": message.role, "content": message.content}
    parts = [{"type": "image"} for _image in message.images]
    return {"role": message.role, "content": [*parts, {"type": "text", "text": message.content}]}


def _line(error: Exception) -> int | None:
    """The line of the template at which ``error`` arose; jinja2 writes it into the traceback."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename in {"<template>", "<unknown>"}:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
