"""The encoder cache as a model sees it while it is traced: what cross-attention looks at, kept between steps."""

from __future__ import annotations

from collections.abc import Sequence

from ollamax.ml.ops import Op
from ollamax.ml.tensor import Kind, Tensor, apply, graph_input, state, state_read, state_write, where


class EncoderCache:
    """Keys ``(slots, cells, heads, key_dim)`` and values ``(slots, cells, heads, value_dim)`` for each layer.

    An ``encode`` program puts there what it makes of one picture, ``picture_cells`` cells at a time. A step on ``N``
    slots looks at the first ``E`` cells. Which of its tokens see which cells is structure: each cell has the positions
    from which and until which it is seen; ``until`` is -1 for a cell that is not in use. The host keeps the book, see
    :mod:`ollamax.kvcache.pictures`.
    """

    def __init__(
        self, layers: int, heads: int, key_dim: int, value_dim: int, slots: int, cells: int, picture_cells: int
    ) -> None:
        self.layers, self.slots, self.cells, self.picture_cells = layers, slots, cells, picture_cells
        self._states = [
            (
                state(f"encoder.{layer}.key", (slots, cells, heads, key_dim)),
                state(f"encoder.{layer}.value", (slots, cells, heads, value_dim)),
            )
            for layer in range(layers)
        ]
        self._slot = graph_input("encoder_slot", (1,), bound=slots)
        self._rows = graph_input("encoder_rows", (1, picture_cells), bound=cells)
        self._slots = graph_input("encoder_slots", ("N",), bound=slots)
        self._seen_from = graph_input("seen_from", ("N", "E"))
        self._seen_until = graph_input("seen_until", ("N", "E"))
        self.blind = graph_input("blind", ("N", "T"), Kind.BOOL)
        """Tokens that see no picture."""
        self.has_picture = graph_input("has_picture", ("N",), Kind.BOOL)
        """Sequences that have a picture at all."""

    def put(self, layer: int, key: Tensor, value: Tensor) -> Sequence[Tensor]:
        """The writes of a picture's keys and values ``(1, picture_cells, heads, dim)``."""
        return [
            state_write(held, self._slot, self._rows, new)
            for held, new in zip(self._states[layer], (key, value), strict=True)
        ]

    def get(self, layer: int) -> tuple[Tensor, Tensor]:
        """Keys and values ``(N, E, heads, dim)`` of the slots of a step."""
        key, value = self._states[layer]
        return state_read(key, self._slots, "E"), state_read(value, self._slots, "E")

    def mask(self, positions: Tensor) -> Tensor:
        """Which cells tokens at ``positions (N, T)`` see; a blind token looks at every cell in use."""
        queries = positions.reshape(*positions.shape, 1)
        begin, end = (cells.reshape("N", 1, "E") for cells in (self._seen_from, self._seen_until))
        seen = apply(Op.AND, apply(Op.LE, begin, queries), apply(Op.LT, queries, end))
        return where(self.blind.reshape("N", "T", 1), apply(Op.LE, 0, end), seen)
