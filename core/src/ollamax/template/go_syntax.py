"""What a Go template says before it is run: the variables it uses, where its answer begins, what it may not do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from gotpl import TemplateError as GoError
from gotpl import TemplateSyntaxError
from gotpl.parse import (
    ActionNode,
    BlockNode,
    FieldNode,
    IdentifierNode,
    IfNode,
    ParenthesizedNode,
    PipeNode,
    RangeNode,
    TemplateCallNode,
    VariableNode,
    WithNode,
    parse_template,
)

from ollamax.errors import TemplateError

MAX_CHARACTERS = 128 * 1024
# Ollama's variables (Values in its template/template.go); Tools, Suffix and Think are always empty here.
ROOT = ("System", "Prompt", "Response", "Messages", "Tools", "Suffix", "Think", "ThinkLevel", "IsThinkSet")
BUILTINS = ("and", "eq", "ge", "gt", "index", "le", "len", "lt", "ne", "not", "or", "slice")
_PLACE = re.compile(r"^template:\d+:\d+: ")


@dataclass(frozen=True, slots=True)
class GoSource:
    """A checked template.

    ``full`` renders a whole turn. ``prompt`` is the same up to and with ``.Response``, for the turn to be answered.
    ``uses_messages`` tells a template over ``.Messages`` from a legacy one, which is run once per turn.
    """

    full: str
    prompt: str
    uses_messages: bool


def read_go_template(source: str, functions: Iterable[str]) -> GoSource:
    """Check ``source``, which may call ``functions`` besides the built-in ones; raises TemplateError with the line."""
    if len(source) > MAX_CHARACTERS:
        raise TemplateError(f"the template has {len(source)} characters; {MAX_CHARACTERS} are allowed")
    offered = {*functions, *BUILTINS}
    try:
        tree = parse_template(source, functions=offered)
        reader = _Reader(source, offered)
        reader.read_list(tree.root, dot_is_root=True, ends=())
    except TemplateSyntaxError as error:
        problem = _PLACE.sub("", str(error))
        hint = f"; there are {_listed(offered)}" if problem.startswith("function") else ""
        raise TemplateError(f"template, line {error.line}: {problem}{hint}") from error
    except (GoError, RecursionError) as error:
        raise TemplateError("the template nests too deeply") from error
    if tree.definitions:
        raise reader.error(tree.definitions[0], "{{define}} and {{block}} are not supported")
    return reader.result()


class _Reader:
    def __init__(self, source: str, offered: set[str]) -> None:
        self.source, self.offered = source.encode(), offered
        self.fields: set[str] = set()
        self.cut: tuple[int, int] | None = None  # byte offset behind {{ .Response }}, and how many branches are open

    def result(self) -> GoSource:
        uses_messages = "Messages" in self.fields
        full = self.source.decode()
        if self.cut is None:  # as in Ollama, the answer stands at the end of a template that does not place it
            full += "" if uses_messages else "{{ .Response }}"
            return GoSource(full, full, uses_messages)
        offset, open_branches = self.cut
        prompt = self.source[:offset].decode() + "{{end}}" * open_branches
        return GoSource(full, prompt, uses_messages)

    def read_list(self, body: Any, dot_is_root: bool, ends: tuple[int, ...]) -> None:
        """Read the nodes of ``body``; ``ends`` are the offsets at which the branches around it end."""
        for node in body.nodes:
            if isinstance(node, TemplateCallNode | BlockNode):
                raise self.error(node, "{{template}} and {{block}} are not supported")
            if isinstance(node, ActionNode | IfNode | WithNode | RangeNode):
                uses_response = self.read_pipeline(node.pipeline, dot_is_root)
                if isinstance(node, ActionNode):
                    if uses_response and self.cut is None:
                        # An {{else if}} ends where its {{if}} does, so one {{end}} closes both.
                        self.cut = (node.end, len(set(ends)))
                    continue
                inside = dot_is_root and isinstance(node, IfNode)
                self.read_list(node.body, inside, (*ends, node.end))
                if node.else_body is not None:
                    self.read_list(node.else_body, dot_is_root, (*ends, node.end))

    def read_pipeline(self, pipeline: Any, dot_is_root: bool) -> bool:
        """Check the terms of a pipeline; returns whether one is ``.Response``."""
        uses_response = False
        for term in _terms(pipeline):
            if isinstance(term, IdentifierNode) and term.name not in self.offered:
                raise self.error(term, f"the function {term.name} is not offered; there are {_listed(self.offered)}")
            if isinstance(term, FieldNode | VariableNode) and term.fields:
                at_root = dot_is_root if isinstance(term, FieldNode) else term.name == "$"
                if at_root and term.fields[0] not in ROOT:
                    raise self.error(term, f".{term.fields[0]} is no variable; there are {_listed(ROOT)}")
                self.fields.update(term.fields)
                uses_response |= at_root and term.fields[0] == "Response"
        return uses_response

    def error(self, node: Any, problem: str) -> TemplateError:
        line = self.source.count(b"\n", 0, node.start) + 1
        return TemplateError(f"template, line {line}: {problem}")


def _terms(pipeline: PipeNode) -> Iterator[Any]:
    for command in pipeline.commands:
        for term in command.arguments:
            yield term
            if isinstance(term, ParenthesizedNode):
                yield from _terms(term.pipeline)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
