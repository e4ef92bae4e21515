"""Steps of a model that sees pictures: what they need beyond those of the text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ollamax.arch.trace import TracedVision
from ollamax.backend import Backend
from ollamax.engine.picture import Shown
from ollamax.kvcache.pictures import PictureBook

Array = npt.NDArray[Any]

ENCODED = "encoder."
"""What the names of states begin with that hold pictures."""


class VisionSteps:
    """The pictures of each slot, in the encoder cache and in the host's book.

    ``encoded`` counts the pictures that went through the vision encoder.
    """

    def __init__(self, backend: Backend, traced: TracedVision, *, slots: int) -> None:
        self._backend = backend
        self._encode, self.step = backend.compile(traced.encode), backend.compile(traced.step)
        self._picture_cells = int(traced.encode.inputs["encoder_rows"].shape[-1])
        self._cells = int(traced.encode.inputs["encoder_rows"].attrs["bound"])
        self._book = PictureBook(slots, self._picture_cells)
        self._held: list[list[bytes]] = [[] for _ in range(slots)]
        self.encoded = 0

    def show(self, slot: int, pictures: Sequence[Shown]) -> None:
        """Make these the pictures of a sequence; those that its encoder cells hold already are not encoded again."""
        held = self._held[slot]
        self._book.show(slot, ())
        for number, shown in enumerate(pictures):
            if held[number : number + 1] == [shown.digest]:
                continue
            del held[number:]  # first, for a picture that is interrupted leaves cells that nobody knows
            self._put(slot, number, shown)
            held.append(shown.digest)
        self._book.show(slot, [shown.view for shown in pictures])

    def forget(self, slot: int) -> None:
        """Have a sequence see no picture, and hold none that was encoded."""
        self._book.show(slot, ())
        self._held[slot].clear()

    def seeing(self, slots: Sequence[int]) -> bool:
        """Whether any of the sequences has a picture."""
        return any(self._book.count(slot) for slot in slots)

    def inputs(self, slots: Sequence[int], positions: Array) -> tuple[dict[str, Array], dict[str, int]]:
        """What a step on ``slots`` needs in addition: inputs and dims."""
        size = self._backend.dim_steps.get("E", 1)
        cells = min(self._cells, -(-self._book.extent(slots) // size) * size)
        return self._book.inputs(slots, positions, cells), {"E": cells}

    def slide(self, slot: int, keep: int, discard: int) -> None:
        """Follow tokens that move down after the first ``keep``."""
        self._book.move(slot, keep, discard)

    def copy(self, source: int, target: int) -> None:
        """Give ``target`` the pictures of ``source``."""
        if source != target:
            self._held[target] = []
            self._backend.copy_rows(source, target, np.arange(self._book.extent([source])), prefix=ENCODED)
            self._held[target] = self._held[source][: self._book.count(source)]
            self._book.copy(source, target)

    def _put(self, slot: int, number: int, shown: Shown) -> None:
        rows = number * self._picture_cells + np.arange(self._picture_cells)
        inputs = {**shown.picture.inputs, "encoder_slot": np.array([slot]), "encoder_rows": rows[None]}
        self._encode.run(inputs, {})
        self.encoded += 1
