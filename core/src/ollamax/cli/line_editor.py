"""Reading what the user types: line editing, history, and messages of several lines."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Protocol

from ollamax import config

FENCE = '"""'
_LONGEST_HISTORY = 1000


class LineReader(Protocol):
    """Where a session's lines come from."""

    def read(self, prompt: str) -> str:
        """One line without its end; raises EOFError at the end of input and KeyboardInterrupt on Ctrl-C."""

    def keep_history(self, keep: bool) -> None:
        """Whether lines read from now on are remembered."""

    def close(self) -> None:
        """Save what is to be saved."""


def read_fenced(first: str, reader: LineReader) -> str:
    """The text that ``first`` opens with triple quotes, read on until a line ends with them.

    Text without such a beginning is returned as it is.
    """
    if not first.startswith(FENCE):
        return first
    lines = [first[len(FENCE) :]]
    while not lines[-1].endswith(FENCE):
        lines.append(reader.read("... "))
    return "\n".join(lines)[: -len(FENCE)]


class Terminal:
    """``input()`` with GNU readline where Python has it, and a history in ``~/.ollamax/history``.

    ``OLLAMAX_NOHISTORY=1`` starts with the history off.
    """

    def __init__(self, history: Path | None = None) -> None:
        home = config.home_dir()
        self._path = history or (home and home / "history")  # without a home directory none is kept
        self._keep = not config.flag("OLLAMAX_NOHISTORY")
        self._added = 0
        try:
            import readline
        except ImportError:  # Windows: the console edits lines itself
            self._readline = None
            return
        self._readline = readline
        readline.set_auto_history(False)
        readline.set_history_length(_LONGEST_HISTORY)
        if self._keep and self._path:
            # A history that is missing or cannot be read is no reason not to talk.
            with contextlib.suppress(OSError):
                readline.read_history_file(self._path)

    def read(self, prompt: str) -> str:
        """See LineReader."""
        line = input(prompt)
        if self._readline and self._keep and line.strip():
            self._readline.add_history(line)
            self._added += 1
        return line

    def keep_history(self, keep: bool) -> None:
        """See LineReader."""
        self._keep = keep

    def close(self) -> None:
        """Append this session's lines to the file, which only its owner may read."""
        if not self._readline or not self._added or not self._path:
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch(mode=0o600)
            self._readline.append_history_file(self._added, self._path)
        self._added = 0
