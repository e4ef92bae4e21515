"""Shapes: tuples of sizes, where a size may be a symbol that is known only when a program runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ollamax.errors import GraphError

Dim = int | str
"""A size: a number, or a symbol; ``N`` sequences, ``T`` tokens each, ``S`` or ``W`` cache cells, ``R`` output rows."""

Shape = tuple[Dim, ...]


def broadcast(*shapes: Shape) -> Shape:
    """The common shape by NumPy's rule; a symbol fits itself and 1. Raises GraphError."""
    rank = max(len(shape) for shape in shapes)
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    result: list[Dim] = []
    for sizes in zip(*padded, strict=True):
        wide = {size for size in sizes if size != 1}
        if len(wide) > 1:
            raise GraphError(f"shapes {' and '.join(map(text, shapes))} do not broadcast")
        result.append(wide.pop() if wide else 1)
    return tuple(result)


def same_size(a: Shape, b: Shape) -> bool:
    """Whether two shapes hold equally many elements, whatever their symbols stand for."""
    return _split(a) == _split(b)


def concrete(shape: Sequence[Dim], dims: Mapping[str, int]) -> tuple[int, ...]:
    """The shape with every symbol replaced; raises GraphError for a symbol that ``dims`` lacks."""
    try:
        return tuple(size if isinstance(size, int) else dims[size] for size in shape)
    except KeyError as error:
        raise GraphError(f"no value for dimension {error.args[0]!r}; given: {', '.join(sorted(dims))}") from None


def text(shape: Shape) -> str:
    """``(T, 4096)``."""
    return f"({', '.join(map(str, shape))})"


def _split(shape: Shape) -> tuple[int, tuple[str, ...]]:
    number, symbols = 1, []
    for size in shape:
        if isinstance(size, int):
            number *= size
        else:
            symbols.append(size)
    return number, tuple(sorted(symbols))
