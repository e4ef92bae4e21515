"""Go templates as Ollama renders them, through ``gotpl`` behind a seam of our own."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any

import gotpl

from ollamax.errors import TemplateError
from ollamax.template.base import Template
from ollamax.template.go_functions import MAX_CHARACTERS, GoFunctions
from ollamax.template.go_syntax import ROOT, read_go_template
from ollamax.template.turns import merge_neighbours, with_default_system
from ollamax.types import Message

_BUDGET = gotpl.ExecutionBudget(
    max_output_chars=MAX_CHARACTERS, max_iterations=500_000, max_function_calls=500_000, max_template_depth=1
)
_PLACE = re.compile(r'^template: [^:]*:\d+:\d+: executing "[^"]*": ')


class GoTemplate(Template):
    """A template of a Modelfile.

    Semantics are those of ``Template.Execute`` in Ollama's template/template.go (August 2026). A template that uses
    ``.Messages`` gets the whole chat at once, with all system messages joined in ``.System``. A legacy one, which
    uses only ``.System``, ``.Prompt`` and ``.Response``, is rendered once per turn, and for the turn to be answered
    the text behind ``.Response`` is left out. Neighbouring messages of one role are merged.

    Deliberately stricter than Ollama: an unknown variable, and a tool's message given to a legacy template, are
    errors instead of nothing. ``{{define}}``, ``{{block}}``, ``{{template}}`` and the functions ``html``, ``js``,
    ``urlquery`` and ``call`` are not supported.

    A hostile template can neither reach Python objects nor run without end: gotpl's sandbox lets it see only the
    values given, and loops, calls, output and the size of made strings are bounded.
    """

    def __init__(self, source: str) -> None:
        """Check and compile ``source``; raises TemplateError with the line at fault."""
        self.source = source
        self._functions = GoFunctions()
        self._lock = threading.Lock()  # the bound on made strings is counted per rendering
        checked = read_go_template(source, self._functions.table)
        self.uses_messages = checked.uses_messages
        self._full, self._prompt = self._compiled(checked.full), self._compiled(checked.prompt)

    def render(self, messages: Sequence[Message], *, system: str | None = None) -> str:
        """The prompt for ``messages``; a last message of the assistant is left open, to be continued."""
        chat = with_default_system(messages, system)
        with self._lock:
            self._functions.reset()
            return self._whole(chat) if self.uses_messages else self._turn_by_turn(merge_neighbours(chat))

    def _whole(self, chat: list[Message]) -> str:
        systems = "\n\n".join(message.content for message in chat if message.role == "system")
        return _run(self._full, System=systems, Messages=[_fields(message) for message in merge_neighbours(chat)])

    def _turn_by_turn(self, chat: list[Message]) -> str:
        parts: list[str] = []
        turn = {"System": "", "Prompt": "", "Response": ""}
        for message in chat:
            if message.role not in _PARTS:
                raise TemplateError(f"a message of role {message.role!r} needs a template that uses .Messages")
            part, followed_by = _PARTS[message.role]
            if any(turn[later] for later in followed_by):
                parts.append(_run(self._full, **turn))
                turn = dict.fromkeys(turn, "")
            turn[part] = message.content
        return "".join([*parts, _run(self._prompt, **turn)])

    def _compiled(self, source: str) -> gotpl.Template:
        functions = self._functions.table
        sandbox = gotpl.SandboxPolicy.strict(allow_functions=functions, default_budget=_BUDGET)
        try:
            return gotpl.Template(source, functions=functions, missing_key="error", sandbox=sandbox)
        except RecursionError as error:
            raise TemplateError("the template nests too deeply") from error


# Role to the part of a turn that it fills, and the parts whose presence means that a new turn begins.
_PARTS = {
    "system": ("System", ("Prompt", "Response")),
    "user": ("Prompt", ("Response",)),
    "assistant": ("Response", ()),
}

_EMPTY = dict.fromkeys(ROOT, "") | {"Messages": [], "Tools": [], "Think": False, "IsThinkSet": False}


def _run(template: gotpl.Template, **values: Any) -> str:
    try:
        return str(template.render({**_EMPTY, **values}))
    except gotpl.TemplateError as error:
        raise TemplateError(f"the template fails on this chat: {_one_line(error)}") from error


def _fields(message: Message) -> dict[str, Any]:
    """A message as templates see it: the fields of Ollama's, of which those of tools and thinking are empty."""
    return {
        "Role": message.role,
        "Content": message.content,
        "Images": list(message.images),
        "Thinking": "",
        "ToolCalls": [],
        "ToolName": "",
        "ToolCallID": "",
    }


def _one_line(error: Exception) -> str:
    line = getattr(error, "line", None)
    text = " ".join(_PLACE.sub("", str(error)).split())[:200]
    return f"line {line}: {text}" if line else text
