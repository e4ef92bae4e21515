"""The prompt of ``trace`` and ``compare``: text, or token ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from ollamax.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])


def prompt_options(command: Command) -> Command:
    """Give ``command`` the options -p and --tokens."""
    command = click.option("--tokens", metavar="IDS", help="Token ids instead of a prompt, such as 1,15,7.")(command)
    return click.option("-p", "--prompt", metavar="TEXT", help="The prompt, as it stands.")(command)


def given_prompt(prompt: str | None, tokens: str | None) -> str | list[int]:
    """What was given; raises UsageError unless it is one of the two, and ids are whole numbers."""
    if (prompt is None) == (tokens is None):
        raise UsageError("give the prompt as one of -p TEXT and --tokens IDS")
    if tokens is None:
        return prompt or ""
    parts = tokens.replace(",", " ").split()
    if not parts or not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise UsageError(f"--tokens {tokens!r:.60}: expected whole numbers such as 1,15,7")
    return [int(part) for part in parts]
