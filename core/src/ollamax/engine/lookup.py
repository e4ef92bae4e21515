"""Prompt lookup: a text that repeats itself says which tokens come next."""

from __future__ import annotations

from collections.abc import Iterable

SHORTEST, LONGEST = 2, 4
"""Tokens of the ends of text that are looked up; a match may grow beyond."""


class PromptLookup:
    """Finds where the last tokens of a text occurred before, and proposes what followed them there.

    The longest match wins, and of equal ones the latest; one that goes on matching is kept. Each token costs a few
    look-ups in a table, however long the text is. Saxena: Prompt Lookup Decoding, 2023
    (github.com/apoorvumang/prompt-lookup-decoding).
    """

    def __init__(self, tokens: Iterable[int] = ()) -> None:
        self._tokens: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}  # the end of each short run of tokens, where it occurred last
        self._source = 0  # what is proposed begins here
        self.match = 0
        for token in tokens:
            self.add(token)

    @property
    def token(self) -> int | None:
        """The token that is proposed to come next; None without a match."""
        return self._tokens[self._source] if self.match else None

    def add(self, token: int) -> None:
        """Append a token; ``match`` is then how many of the last ones occurred before, 0 for fewer than SHORTEST."""
        followed = token == self.token
        end = len(self._tokens)
        for size in range(SHORTEST, min(LONGEST, end) + 1):
            self._after[tuple(self._tokens[-size:])] = end
        self._tokens.append(token)
        self.match, self._source = (self.match + 1, self._source + 1) if followed else self._find()

    def propose(self, most: int) -> list[int]:
        """The ``most`` tokens that followed the match, which repeats if it reaches the end; none without a match."""
        if not self.match:
            return []
        proposed = self._tokens[self._source : self._source + most]
        period = len(proposed)
        while len(proposed) < most:
            proposed.append(proposed[-period])
        return proposed

    def _find(self) -> tuple[int, int]:
        for size in range(LONGEST, SHORTEST - 1, -1):
            source = self._after.get(tuple(self._tokens[-size:]))
            if source is not None:
                return size, source
        return 0, 0
