"""The page of the Python library."""

from __future__ import annotations

import inspect

import ollamax
from docstring import line
from entry import class_entry, function_entry
from ollamax import errors
from ollamax.engine.chat import Reply
from ollamax.engine.chunk import Chunk, Stats
from ollamax.engine.model import Model
from ollamax.errors import OllamaxError
from ollamax.tokenizer import StreamDecoder, Tokenizer
from ollamax.types import Message
from table import code, table


def library() -> str:
    """``import ollamax``: loading, what is loaded, what it gives, and errors."""
    functions = [member for name in ollamax.__all__ if inspect.isfunction(member := getattr(ollamax, name))]
    return "\n\n".join(
        [
            "# Python",
            (ollamax.__doc__ or "").partition("\n")[0],
            '```python\nimport ollamax\n\nwith ollamax.load("demo") as model:\n'
            '    for chunk in model.generate("Once upon a time", max_tokens=64):\n'
            '        print(chunk.text, end="")\n```',
            *(function_entry(f"ollamax.{function.__name__}", function) for function in functions),
            "Options are [those of Modelfiles](modelfile.md#options).",
            *(class_entry(kind) for kind in (Model, Chunk, Reply, Stats, Message)),
            "Models and `ollamax.load_tokenizer` give a tokenizer:",
            *(class_entry(kind) for kind in (Tokenizer, StreamDecoder)),
            "## Errors",
            "Every error that a caller can expect is an `ollamax.OllamaxError`, with a message of one line that names "
            "the thing, what was expected and the way out. The command line prints it and exits with the status.",
            table(["error (in `ollamax.errors`)", "is a", "status", "meaning"], map(_error, _errors())),
        ]
    )


def _errors() -> list[type[OllamaxError]]:
    found = inspect.getmembers(errors, inspect.isclass)
    return sorted((kind for _, kind in found), key=lambda kind: (kind.mro()[::-1][3:-1] != [], kind.__name__))


def _error(kind: type[OllamaxError]) -> list[str]:
    return [code(kind.__name__), code(kind.__base__.__name__), str(kind.exit_code), line(kind.__doc__)]
