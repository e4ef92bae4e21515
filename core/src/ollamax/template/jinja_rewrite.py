"""Rewriting a parsed Jinja template so that what could grow without end goes through its environment."""

from __future__ import annotations

from typing import Any

from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.visitor import NodeTransformer


class Metering(NodeTransformer):
    """Sends loops, output, ``~``, slices and new lists through ``ChatEnvironment.metered_...``."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        """A loop: its items are counted."""
        self.generic_visit(node)
        node.iter = _through("metered_turns", node.iter)
        return node

    def visit_Output(self, node: nodes.Output) -> nodes.Node:
        """Text and values that are written."""
        self.generic_visit(node)
        values = [
            nodes.Const(child.data, lineno=child.lineno) if isinstance(child, nodes.TemplateData) else child
            for child in node.nodes
        ]
        node.nodes = [_through("metered_output", value) for value in values]
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        """The operator ``~``."""
        self.generic_visit(node)
        return _through("metered_join", *node.nodes)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        """``a[1:]`` makes a copy; ``a[1]`` does not."""
        self.generic_visit(node)
        return _through("metered_copy", node) if isinstance(node.arg, nodes.Slice) else node

    def visit_List(self, node: nodes.List) -> nodes.Node:
        """A new list."""
        self.generic_visit(node)
        return _through("metered_copy", node)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
        """A new dict."""
        self.generic_visit(node)
        return _through("metered_copy", node)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        """A new tuple, unless it is the target of an assignment."""
        self.generic_visit(node)
        return _through("metered_copy", node) if node.ctx == "load" else node


class Generation(Extension):
    """``{% generation %}`` marks the assistant's tokens for training; here its body is rendered as it is."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it as an instance's

    def parse(self, parser: Parser) -> nodes.Node:
        """The body, in a scope of its own."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


def _through(method: str, *values: Any) -> nodes.Call:
    line = values[0].lineno
    target = nodes.EnvironmentAttribute(method, lineno=line)
    return nodes.Call(target, list(values), [], None, None, lineno=line)
