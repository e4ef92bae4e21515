"""Bounds on what one rendering of a hostile template can cost."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, Sequence, Set, ValuesView
from typing import Any

from ollamax.errors import TemplateError

MAX_STEPS = 500_000
MAX_CHARACTERS = 256 * 2**20
MAX_DEPTH = 64
_CONTAINERS = (Sequence, Set, Mapping, KeysView, ItemsView, ValuesView)


class Meter:
    """Counts steps (loop turns, calls, values written) and the characters or elements that are made.

    Raises TemplateError beyond the bounds.
    """

    def __init__(self) -> None:
        self._steps = 0
        self._made = 0

    def step(self) -> None:
        """Count a loop's turn, a call or a value written."""
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise TemplateError(f"it takes more than {MAX_STEPS} steps")

    def charge(self, amount: int) -> None:
        """Count ``amount`` characters or elements, before they are made where that is possible."""
        self._made += amount
        if self._made > MAX_CHARACTERS:
            raise TemplateError(f"it makes more than {MAX_CHARACTERS} characters")

    def turns(self, items: Iterable[Any]) -> Iterator[Any]:
        """``items``, each counted as a step."""
        for item in items:
            self.step()
            yield item

    def weigh(self, value: object) -> None:
        """Charge about as many characters as ``value`` has when written out.

        A list that holds the same list twice, and so on for 60 levels, is small in memory and endless on paper.
        """
        waiting: list[tuple[object, int]] = [(value, 0)]
        while waiting:
            item, depth = waiting.pop()
            self.step()
            self.charge(len(item) if isinstance(item, str | bytes) else 8)
            if isinstance(item, str | bytes) or not isinstance(item, _CONTAINERS):
                continue
            if depth == MAX_DEPTH:
                raise TemplateError(f"it nests values more than {MAX_DEPTH} deep")
            self.charge(8 * len(item))
            members = (part for pair in item.items() for part in pair) if isinstance(item, Mapping) else item
            waiting.extend((member, depth + 1) for member in members)
