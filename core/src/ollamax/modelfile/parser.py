"""Reading Modelfiles.

The grammar is Ollama's (its ``docs/modelfile.mdx`` and the behaviour of its parser, August 2026): one instruction per
line, in any order and case; blank lines and lines that start with ``#`` are skipped; for values see ``quote.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from ollamax.errors import ModelfileError
from ollamax.modelfile.modelfile import Modelfile
from ollamax.modelfile.quote import closes, opening_quote
from ollamax.types import Message

MAX_BYTES = 16 * 2**20
ROLES = ("system", "user", "assistant")
_WORD = re.compile(r"\S+")
_PARAMETER = re.compile(r"[A-Za-z0-9_]{1,64}")
UNSUPPORTED = ("ADAPTER", "CAPABILITY", "DRAFT", "PARSER", "RENDERER", "REQUIRES")
"""Ollama knows these too; taking them in silence would make another model than the one that was asked for."""


def load_modelfile(path: Path) -> Modelfile:
    """The Modelfile at ``path``, in UTF-8 or, with a byte order mark, UTF-16; raises ModelfileError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ModelfileError(f"{path}: the Modelfile cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_BYTES:
        raise ModelfileError(f"{path}: the Modelfile is larger than {MAX_BYTES} bytes; is it a model instead?")
    encoding = "UTF-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "UTF-8"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ModelfileError(f"{path}, line {line}: the Modelfile is no text in {encoding}") from error
    return parse_modelfile(text.removeprefix("\ufeff").replace("\r\n", "\n"), origin=str(path))


def parse_modelfile(text: str, *, origin: str = "Modelfile", require_from: bool = True) -> Modelfile:
    """The Modelfile in ``text``; raises ModelfileError with ``origin``, the line number and what was expected.

    ``require_from`` False reads a fragment, which may lack FROM.
    """
    return _Parser(text, origin).parse(require_from)


class _Parser:
    def __init__(self, text: str, origin: str) -> None:
        self.origin = origin
        self.lines = text.split("\n")
        self.row = 0  # the line under the cursor, from 0
        self.start = 0  # the first line of the current instruction
        self.result = Modelfile()

    def parse(self, require_from: bool) -> Modelfile:
        while self.row < len(self.lines):
            line = self.lines[self.row].lstrip()
            if line and not line.startswith("#"):
                self.start = self.row
                word, rest = _cut(line)
                self._instruction(word).read(self, word.upper(), rest)
            self.row += 1
        if require_from and self.result.from_ is None:
            raise ModelfileError(f"{self.origin}: there is no FROM line; add FROM with a model, file or directory")
        return self.result

    def _instruction(self, word: str) -> Instruction:
        name = word.upper()
        if name in UNSUPPORTED:
            raise self._error(f"{name} is not supported yet; remove the line")
        if name not in INSTRUCTIONS:
            raise self._error(f"unknown instruction {_shown(word)}; expected {', '.join(INSTRUCTIONS)}")
        return INSTRUCTIONS[name]

    def read_from(self, name: str, rest: str) -> None:
        if self.result.from_ is not None:
            raise self._error("a second FROM; a Modelfile builds on one model")
        self.result.from_ = self._value(name, rest, "a model's name, a .gguf file or a directory")
        if not self.result.from_.strip():
            raise self._error("FROM is empty; expected a model's name, a .gguf file or a directory")

    def read_parameter(self, name: str, rest: str) -> None:
        option, rest = _cut(rest)
        if not _PARAMETER.fullmatch(option):
            found = f", not {_shown(option)}" if option else ""
            raise self._error(f"{name}: the name of an option was expected{found}, as in PARAMETER temperature 0.7")
        value = self._value(f"{name} {option}", rest, "a value")
        self.result.parameters.setdefault(option, []).append(value)
        self.result.places.setdefault(option, []).append(self._place())

    def read_template(self, name: str, rest: str) -> None:
        self.result.template = self._value(name, rest, "a Go template")

    def read_system(self, name: str, rest: str) -> None:
        self.result.system = self._value(name, rest, "a message")

    def read_license(self, name: str, rest: str) -> None:
        self.result.licenses.append(self._value(name, rest, "a text"))

    def read_message(self, name: str, rest: str) -> None:
        role, rest = _cut(rest)
        if role not in ROLES:
            found = f", not {_shown(role)}" if role else ""
            raise self._error(f"{name}: a role was expected ({', '.join(ROLES)}){found}")
        self.result.messages.append(Message(role, self._value(f"{name} {role}", rest, "a text")))

    def _value(self, name: str, rest: str, expected: str) -> str:
        """The value that starts with ``rest``, taking further lines while its quotes are open."""
        if not rest:
            raise self._error(f"{name}: {expected} was expected")
        quote = opening_quote(rest)
        if not quote:
            return rest.rstrip()
        parts, closed = [rest], closes(rest, quote, first=True)
        while not closed:
            self.row += 1
            if self.row == len(self.lines):
                raise self._error(f"{name}: the text opened by {quote} has no end; a line must end with {quote}")
            parts.append(self.lines[self.row])
            closed = closes(parts[-1], quote, first=False)
        return "\n".join(parts).rstrip()[len(quote) : -len(quote)]

    def _error(self, problem: str) -> ModelfileError:
        return ModelfileError(f"{self._place()}: {problem}")

    def _place(self) -> str:
        return f"{self.origin}, line {self.start + 1}"


class Instruction(NamedTuple):
    """``usage`` is how a line is written, ``meaning`` what it does, ``read`` takes a name and what follows it."""

    usage: str
    meaning: str
    read: Callable[[_Parser, str, str], None]


INSTRUCTIONS: Mapping[str, Instruction] = {
    "FROM": Instruction(
        "FROM MODEL",
        "What the model is made of, once and required: a model's name, a .gguf file or a Hugging Face directory; "
        "relative paths start at the Modelfile.",
        _Parser.read_from,
    ),
    "PARAMETER": Instruction(
        "PARAMETER OPTION VALUE",
        "The default of an option of the table below. The last value of an option counts, but all of ``stop``.",
        _Parser.read_parameter,
    ),
    "TEMPLATE": Instruction(
        "TEMPLATE TEXT",
        "A template in Go's syntax that makes a prompt of a chat, instead of the model file's own.",
        _Parser.read_template,
    ),
    "SYSTEM": Instruction(
        "SYSTEM TEXT",
        "The system message of chats that bring none.",
        _Parser.read_system,
    ),
    "MESSAGE": Instruction(
        "MESSAGE ROLE TEXT",
        f"A message at the beginning of every chat, in the order given; ROLE is one of {', '.join(ROLES)}.",
        _Parser.read_message,
    ),
    "LICENSE": Instruction(
        "LICENSE TEXT",
        "The text of a licence, which is kept with the model; there may be several.",
        _Parser.read_license,
    ),
}


def _cut(line: str) -> tuple[str, str]:
    """The first word of ``line`` and what follows it, without the blanks between them."""
    match = _WORD.match(line)
    word = match.group() if match else ""
    return word, line[len(word) :].lstrip()


def _shown(word: str) -> str:
    return repr(word if len(word) <= 40 else word[:40] + "...")
