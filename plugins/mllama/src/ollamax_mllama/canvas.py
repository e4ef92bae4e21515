"""How a picture is laid on tiles: the canvas, the size on it, and the number of the arrangement.

The rules are those of transformers' ``MllamaImageProcessor``; Meta's own image transform agrees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Canvas:
    """``rows`` by ``columns`` tiles, on which a picture is drawn ``height`` by ``width`` pixels large, top left."""

    rows: int
    columns: int
    height: int
    width: int

    @property
    def tiles(self) -> int:
        """How many tiles there are."""
        return self.rows * self.columns


def arrangements(most: int) -> list[tuple[int, int]]:
    """All ``(rows, columns)`` of at most ``most`` tiles; a picture's aspect ratio id is the place here plus one."""
    return [(rows, columns) for rows in range(1, most + 1) for columns in range(1, most // rows + 1)]


def choose_canvas(height: int, width: int, most: int, tile: int) -> Canvas:
    """The canvas for a picture, of at most ``most`` square tiles of ``tile`` pixels.

    Of the arrangements that need not shrink the picture the one that enlarges it least; if all shrink it, the one that
    shrinks it least. Among equals the smallest area wins, then the first.
    """
    scales = {(r, c): min(r * tile / height, c * tile / width) for r, c in arrangements(most)}
    enlarging = [scale for scale in scales.values() if scale >= 1]
    wanted = min(enlarging) if enlarging else max(scales.values())
    equals = [arrangement for arrangement, scale in scales.items() if scale == wanted]
    rows, columns = min(equals, key=lambda arrangement: arrangement[0] * arrangement[1])
    return Canvas(rows, columns, *_fit(height, width, rows * tile, columns * tile, tile))


def _fit(height: int, width: int, canvas_height: int, canvas_width: int, tile: int) -> tuple[int, int]:
    """The picture's size on the canvas: never enlarged beyond it, and only a small one is enlarged, up to a tile."""
    most_height = min(max(height, tile), canvas_height)
    most_width = min(max(width, tile), canvas_width)
    by_height, by_width = most_height / height, most_width / width
    if by_width < by_height:
        return min(math.floor(height * by_width) or 1, most_height), most_width
    return most_height, min(math.floor(width * by_height) or 1, most_width)
