"""Runs a plugin's code so that nothing which it raises or prints reaches the rest of the program."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from ollamax import config
from ollamax.errors import one_line
from ollamax.plugins.candidate import Candidate, Status

_LONGEST = 300


class PluginFault(Exception):
    """A plugin breaks a rule; the message is the whole reason."""


class Unavailable(PluginFault):
    """A plugin cannot run here through no fault of its own."""


@contextmanager
def isolated(candidate: Candidate, stage: str) -> Iterator[None]:
    """Drop ``candidate`` with a reason when the body raises anything but KeyboardInterrupt.

    SystemExit is caught too: a plugin may not end the program. Standard output is passed to standard error
    meanwhile, because a reader of ``--json`` expects nothing but JSON.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except KeyboardInterrupt:
        raise
    except Unavailable as fault:
        candidate.drop(Status.UNAVAILABLE, one_line(str(fault), _LONGEST))
    except PluginFault as fault:
        candidate.drop(Status.FAILED, one_line(str(fault), _LONGEST))
    except BaseException as error:
        if config.debug():
            traceback.print_exception(error)
        candidate.drop(*_judge(candidate, stage, error))


def _judge(candidate: Candidate, stage: str, error: BaseException) -> tuple[Status, str]:
    if isinstance(error, ModuleNotFoundError) and error.name:
        # Imported here: most runs meet no missing module, and the requirement parser takes 30 ms.
        from ollamax.plugins.requirement import missing_module

        return missing_module(candidate, error.name)
    return Status.FAILED, f"{stage}: {describe(error)}"


def describe(error: BaseException) -> str:
    """One line: the exception's type and message, and the file and line that raised it."""
    try:
        message = str(error)
    except Exception:  # an exception class of the plugin may fail to print itself
        message = "(its message cannot be printed)"
    text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    if isinstance(error, SyntaxError):  # its message names file and line
        return one_line(text, _LONGEST)
    frames = list(traceback.walk_tb(error.__traceback__))
    if not frames:
        return one_line(text, _LONGEST)
    frame, line = frames[-1]
    return f"{one_line(text, _LONGEST)} ({Path(frame.f_code.co_filename).name}:{line})"
