"""A weight in blocks as the runtime's MatMulNBits takes it, in memory or in a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Packed:
    """``blocks (out, in / block, bytes)``, ``scales`` and, where there are any, ``offsets`` ``(out, in / block)``.

    ``file`` is the one that holds nothing but these, in that order. The runtime may map from it what is ``mapped``.
    """

    bits: int
    block: int
    blocks: Array
    scales: Array
    offsets: Array | None
    file: Path | None = None
    mapped: frozenset[str] = frozenset({"blocks", "scales", "offsets"})

    @property
    def parts(self) -> dict[str, Array]:
        """What there is of it, in order."""
        found = {"blocks": self.blocks, "scales": self.scales, "offsets": self.offsets}
        return {name: part for name, part in found.items() if part is not None}


@dataclass(frozen=True, slots=True)
class Form:
    """The sizes of a packed weight with ``out`` rows of ``count`` blocks; ``offset`` is whether it has offsets."""

    bits: int
    block: int
    out: int
    count: int
    offset: bool

    @property
    def nbytes(self) -> int:
        """Bytes of all parts."""
        return sum(self._sizes) * self.out

    def places(self, row: int) -> Iterator[int]:
        """Where, in bytes, that row of each part begins."""
        begins = accumulate((size * self.out for size in self._sizes), initial=0)
        return (begin + size * row for begin, size in zip(begins, self._sizes, strict=False))

    def packed(self, data: Array, file: Path | None = None) -> Packed:
        """Views of ``nbytes`` bytes."""
        blocks, *numbers = np.split(data, list(self.places(0))[1:])
        scales, *offsets = (part.view(np.float32).reshape(self.out, self.count) for part in numbers)
        found = blocks.reshape(self.out, self.count, -1), scales, offsets[0] if offsets else None
        return Packed(self.bits, self.block, *found, file)

    @property
    def _sizes(self) -> tuple[int, ...]:
        """Bytes of a row of each part."""
        each = self.count * 4
        return (self.count * self.block * self.bits // 8, *([each] * (1 + self.offset)))
