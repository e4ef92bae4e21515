"""Docstrings as Markdown."""

from __future__ import annotations

import inspect
import re
import textwrap

_CLASS = re.compile(r":class:`~?(?:[a-z_]+\.)*([^`]+)`")
_ROLE = re.compile(r":\w+:`~?([^`]+)`")
_LITERAL = re.compile(r"``(.+?)``", re.DOTALL)


def markdown(docstring: str | None) -> str:
    """``docstring`` with code spans in backticks, and each block after a double colon fenced.

    Raises ValueError where there is none: what these pages show has one.
    """
    if not docstring:
        raise ValueError("a public name has no docstring; write one")
    shown: list[str] = []
    for block in _blocks(inspect.cleandoc(docstring)):
        if block.startswith(" "):
            code = textwrap.dedent(block)
            shown.append(f"```{'toml' if code.startswith('[') else 'python'}\n{code}\n```")
        elif block != "::":
            shown.append(_prose(block.removesuffix(":") if block.endswith("::") else block))
    return "\n\n".join(shown)


def line(docstring: str | None) -> str:
    """The same on one line, for a cell of a table; code blocks have no place there."""
    return " ".join(markdown(docstring).split())


def _prose(text: str) -> str:
    return _LITERAL.sub(r"`\1`", _ROLE.sub(r"``\1``", _CLASS.sub(r"``\1``", text)))


def _blocks(text: str) -> list[str]:
    """Paragraphs, and indented blocks whole with the empty lines in them."""
    blocks: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        if paragraph.startswith(" ") and blocks and blocks[-1].startswith(" "):
            blocks[-1] += "\n\n" + paragraph
        else:
            lines = paragraph.split("\n")
            blocks.extend(_parts(lines))
    return blocks


def _parts(lines: list[str]) -> list[str]:
    """A paragraph whose last line ends in a double colon may go on with its block at once."""
    for number, text in enumerate(lines[:-1], 1):
        if text.endswith("::") and lines[number].startswith(" "):
            return ["\n".join(lines[:number]), "\n".join(lines[number:])]
    return ["\n".join(lines)]
