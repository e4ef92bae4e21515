"""Whole numbers that remember what they were computed from."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Self

_SUM, _PRODUCT, _ATOM = 1, 2, 3


class Symbol(int):
    """A number with a text, such as ``embedding_length / attention.head_count``."""

    text: str
    rank: int
    """How tightly its text binds: a sum, a product, or an atom."""

    def __new__(cls, value: int, text: str, rank: int = _ATOM) -> Self:
        """``value``, which was computed as ``text`` says."""
        number = super().__new__(cls, value)
        number.text, number.rank = text, rank
        return number


def text_of(size: int) -> str:
    """How ``size`` was computed, or its digits."""
    return size.text if isinstance(size, Symbol) else str(size)


def _within(size: int, rank: int) -> str:
    text = text_of(size)
    return f"({text})" if isinstance(size, Symbol) and size.rank < rank else text


def _operation(sign: str, rank: int, compute: Callable[[int, int], int], turned: bool) -> Callable[[Any, Any], Any]:
    def apply(self: int, other: object) -> object:
        if not isinstance(other, int):
            return NotImplemented
        left, right = (other, self) if turned else (self, other)
        shown = f"{_within(left, rank)} {sign} {_within(right, rank + 1)}"
        return Symbol(compute(int(left), int(right)), shown, rank)

    return apply


def _power(self: int, other: object) -> object:
    if not isinstance(other, int):
        return NotImplemented
    return Symbol(int(self) ** int(other), f"{_within(self, _ATOM)}^{_within(other, _ATOM)}", _PRODUCT)


for _name, _sign, _rank, _compute in (
    ("add", "+", _SUM, operator.add),
    ("sub", "-", _SUM, operator.sub),
    ("mul", "*", _PRODUCT, operator.mul),
    ("floordiv", "/", _PRODUCT, operator.floordiv),
):
    setattr(Symbol, f"__{_name}__", _operation(_sign, _rank, _compute, turned=False))
    setattr(Symbol, f"__r{_name}__", _operation(_sign, _rank, _compute, turned=True))
setattr(Symbol, "__pow__", _power)  # noqa: B010 - like the others
