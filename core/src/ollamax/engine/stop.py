"""Stop texts in a stream: whatever could still become one is held back, and none is ever printed."""

from __future__ import annotations

from collections.abc import Iterable

from ollamax.errors import OptionError


class StopMatcher:
    """Cuts a stream of text at the first stop text.

    The answer ends at the first character that completes any stop text, and is cut where the longest stop
    text that ends there begins. That depends on the text alone, not on how it was cut into pieces.
    """

    def __init__(self, stops: Iterable[str]) -> None:
        """Raises OptionError for an empty stop text, which would end every answer before it begins."""
        self._stops = tuple(dict.fromkeys(stops))
        if not all(self._stops):
            raise OptionError("option stop: a stop text must not be empty")
        self._held = ""
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether a stop text was seen."""
        return self._stopped

    def push(self, text: str) -> tuple[str, bool]:
        """Take the next piece; returns the text that may be printed now, and whether the answer ends here.

        After the end nothing more is returned.
        """
        if self._stopped:
            return "", True
        text = self._held + text
        # (end, start) of the first match of each stop; the smallest end wins, then the smallest start.
        matches = [(start + len(stop), start) for stop in self._stops if (start := text.find(stop)) >= 0]
        if matches:
            self._stopped, self._held = True, ""
            return text[: min(matches)[1]], True
        keep = len(text) - self._partial(text)
        self._held = text[keep:]
        return text[:keep], False

    def finish(self) -> str:
        """The text held back for a stop that never came; empty after a stop."""
        rest, self._held = self._held, ""
        return rest

    def _partial(self, text: str) -> int:
        """Length of the longest end of ``text`` with which some stop text begins."""
        longest = 0
        for stop in self._stops:
            for size in range(min(len(stop) - 1, len(text)), longest, -1):
                if text.endswith(stop[:size]):
                    longest = size
                    break
        return longest
