"""An answer on its way to the screen."""

from __future__ import annotations

import shutil
from typing import TextIO

# A model may write any character; on a terminal, control characters could move the cursor or retitle the
# window.
_CONTROLS = {code: "\ufffd" for code in (*range(32), 127, *range(128, 160)) if chr(code) not in "\n\t"}
_CONTROLS[ord("\r")] = ""


class Printer:
    """Writes pieces of text as they come: unchanged to a pipe or file, wrapped at words on a terminal."""

    def __init__(self, stream: TextIO, wrap: bool = True) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._wrap = wrap and self._terminal
        self._column = 0
        self._word = ""
        self._ended = True

    def write(self, text: str) -> None:
        """Print ``text``; with wrapping, the last word waits until it is known to be whole."""
        if self._terminal:
            text = text.translate(_CONTROLS)
        if text:
            self._ended = text.endswith("\n")
        if self._wrap:
            width = shutil.get_terminal_size().columns
            text = "".join(self._wrapped(char, width) for char in text)
        if text:
            self._stream.write(text)
            self._stream.flush()

    def finish(self) -> None:
        """Print what waits, and end the line if it has not ended."""
        rest = self._take_word(shutil.get_terminal_size().columns) if self._wrap else ""
        self._stream.write(rest + ("" if self._ended else "\n"))
        self._stream.flush()
        self._column, self._ended = 0, True

    def _wrapped(self, char: str, width: int) -> str:
        if char == "\n":
            word = self._take_word(width)
            self._column = 0
            return word + char
        if char in " \t":
            word = self._take_word(width)
            if self._column >= width:  # a blank at the edge would begin the terminal's own next line
                self._column = 0
                return word + "\n"
            self._column += 1
            return word + char
        self._word += char
        # Scripts without spaces may break anywhere, and a word as long as a line has to.
        if _cells(char) > 1 or _cells(self._word) >= width:
            return self._take_word(width)
        return ""

    def _take_word(self, width: int) -> str:
        """The waiting word, on a new line where this one has no room for it."""
        word, self._word = self._word, ""
        size = _cells(word)
        if self._column and self._column + size > width:
            self._column = size
            return "\n" + word
        self._column += size
        return word


def _cells(text: str) -> int:
    """Columns of ``text`` on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
