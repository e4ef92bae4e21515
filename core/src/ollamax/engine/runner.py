"""Steps of a loaded model: tokens in, logits out, with the cache's book kept beside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ollamax.arch.trace import Traced
from ollamax.backend import Backend, Program
from ollamax.engine.picture import Shown
from ollamax.engine.vision import ENCODED, VisionSteps
from ollamax.errors import ContextFullError, UsageError
from ollamax.kvcache.book import CacheBook
from ollamax.ml import Graph

Logits = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]


class Runner:
    """Runs steps on the slots of one loaded model.

    The programs are compiled here, once; a step only fills in their inputs. ``capacity`` is how many tokens a slot
    holds at most. ``computed`` counts the tokens that went through the model. After ``close`` everything that would
    need the backend raises UsageError.

    Layers with a window forget. So ``truncate``, ``copy`` and ``slide`` may leave fewer tokens than they were asked
    for: they return how many, and the caller computes the others again. Of a sequence whose logits were no numbers they
    leave nothing.
    """

    def __init__(self, backend: Backend, traced: Traced) -> None:
        self._backend, self._most = backend, traced.size.step
        backend.prepare(traced.graphs)
        self._step = backend.compile(traced.step)
        self._shift = backend.compile(traced.shift)
        self._vision = VisionSteps(backend, traced.vision, slots=traced.size.slots) if traced.vision else None
        # The largest step: what does not fit the memory is found now, not in the middle of a long prompt.
        cells = {layout.dim: layout.cells for layout in traced.layouts}
        self._step.reserve({"N": 1, "T": traced.size.step, "R": 1, **cells})
        self._vocabulary = int(traced.step.outputs["logits"].shape[-1])
        self.book = CacheBook(traced.layouts, traced.size.slots, backend.dim_steps)
        self.capacity, self._slots = traced.size.cells, traced.size.slots
        self.computed = 0
        self._spoilt: set[int] = set()
        self._closed = False

    @property
    def longest_step(self) -> int:
        """How many tokens of a sequence a step computes at most, and how many can be taken back after it."""
        return self._most

    @property
    def step_graph(self) -> Graph:
        """The compiled graph of a step, as lowered for the backend."""
        return self._step.graph

    def prefill(self, slot: int, tokens: Sequence[int], every: bool = False) -> Logits:
        """Append ``tokens`` to a sequence; logits of the last one ``(1, n_vocab)``, or of all if ``every``.

        Raises ContextFullError, before anything is computed, when they do not fit.
        """
        self._check_room(slot, len(tokens))
        ids = np.asarray(tokens, np.int64)
        parts: list[Logits] = []
        for start in range(0, ids.size, self._most):
            chunk = ids[start : start + self._most]
            outputs = np.arange(chunk.size) if every else np.array([chunk.size - 1])
            logits = self._run(np.array([slot]), chunk[None], outputs[None])[0]
            parts = [*parts, logits] if every else [logits]
        if len(parts) == 1:  # as at every token that is generated; a row of logits is half a megabyte
            return parts[0]
        return np.concatenate(parts) if parts else np.empty((0, self._vocabulary), np.float32)

    def decode(self, slots: Sequence[int], tokens: Sequence[int]) -> Logits:
        """Append one token to each of several different sequences in one step; logits ``(len(slots), n_vocab)``."""
        if not len(slots) == len(tokens) > 0:
            raise UsageError(f"{len(slots)} slots and {len(tokens)} tokens; a step takes one token for each slot")
        if len(set(slots)) < len(slots):
            raise UsageError(f"slots {list(slots)} hold one twice; a sequence takes one token in a step")
        for slot in slots:
            self._check_room(slot, 1)
        ids = np.asarray(tokens, np.int64)[:, None]
        return np.asarray(self._run(np.asarray(slots, np.int64), ids, np.zeros_like(ids))[:, 0])

    @property
    def encoded(self) -> int:
        """How many pictures went through the model."""
        return self._vision.encoded if self._vision else 0

    def show(self, slot: int, pictures: Sequence[Shown]) -> None:
        """Make these the pictures of a sequence, before its tokens are computed; UsageError for a blind model."""
        self.check_open()
        self._check_slots(slot)
        if self._vision:
            self._vision.show(slot, pictures)
        elif pictures:
            raise UsageError("the model's architecture has no vision part; leave pictures out")

    def truncate(self, slot: int, length: int = 0) -> int:
        """Forget everything of a sequence from position ``length`` on; returns how many tokens are left."""
        self._check_slots(slot)
        self._clear_spoilt(slot)
        left = self.book.usable(slot, length)
        self.book.truncate(slot, left)
        return left

    def slide(self, slot: int, keep: int, discard: int) -> int:
        """Drop ``discard`` tokens after the first ``keep``, and move the rest down; returns how many are left.

        Where that is interrupted, the whole sequence is forgotten: nobody knows which keys were turned.
        """
        self.check_open()
        self._check_slots(slot)
        length = max(keep, self.book.length(slot) - discard)
        try:
            turn = self.book.slide(slot, keep, discard)
            if turn is not None:
                self._shift.run(*turn)
        except BaseException:
            self.book.truncate(slot, 0)
            raise
        if self._vision:
            self._vision.slide(slot, keep, discard)
        return self.truncate(slot, length)

    def copy(self, source: int, target: int, length: int) -> int:
        """Make ``target`` start with the first ``length`` tokens of ``source``; returns how many it got."""
        self.check_open()
        self._check_slots(source, target)
        self._clear_spoilt(source)
        self._clear_spoilt(target)
        usable = self.book.usable(source, length)
        for prefix, rows in self.book.copy(source, target, usable).items():
            self._backend.copy_rows(source, target, rows, prefix=prefix)
        if self._vision:
            self._vision.copy(source, target)
        return usable

    def close(self) -> None:
        """Release the backend, and the programs, which hold the weights; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._backend.close()
            del self._step, self._shift, self._vision

    def check_open(self) -> None:
        """Raise UsageError after ``close``."""
        if self._closed:
            raise UsageError("the model was closed; load it again to use it")

    def _check_slots(self, *slots: int) -> None:
        for slot in slots:
            if not 0 <= slot < self._slots:
                raise UsageError(f"slot {slot} does not exist, expected 0 to {self._slots - 1}; raise parallel")

    def _check_room(self, slot: int, wanted: int) -> None:
        self.check_open()
        self._check_slots(slot)
        held = self.book.length(slot)
        if held + wanted > self.capacity:
            raise ContextFullError(
                f"the context holds {self.capacity} tokens, {held} are in use and {wanted} more do not fit; "
                "raise num_ctx or shorten the prompt"
            )

    def _clear_spoilt(self, slot: int) -> None:
        """Forget a sequence whose logits were no numbers.

        Its cells may hold some that are none either, of which a share of 0 is none: they would spoil what follows.
        """
        if slot not in self._spoilt:
            return
        self.book.truncate(slot, 0)
        for name in self._backend.states.names:
            held = self._backend.read_state(name, slot)
            if self._vision and name.startswith(ENCODED):
                if np.isfinite(held).all():
                    continue  # the sequence may go on with its pictures
                self._vision.forget(slot)
            self._backend.write_state(name, slot, np.zeros_like(held))
        self._spoilt.remove(slot)

    def _run(self, slots: Ids, tokens: Ids, outputs: Ids) -> Logits:
        starts = [self.book.length(slot) for slot in slots.tolist()]
        positions = np.asarray(starts)[:, None] + np.arange(tokens.shape[1])
        try:
            inputs, dims = self.book.append(slots, positions)
            inputs |= {"tokens": tokens, "positions": positions, "outputs": outputs, "slots": slots}
            dims |= {"N": tokens.shape[0], "T": tokens.shape[1], "R": outputs.shape[1]}
            logits = self._program(slots, positions, inputs, dims).run(inputs, dims)["logits"]
        except BaseException:
            # An interrupted step leaves no token behind that was not computed.
            for slot, start in zip(slots.tolist(), starts, strict=True):
                self.book.truncate(slot, start)
            raise
        self.computed += tokens.size
        self._spoilt |= {slot for slot, row in zip(slots.tolist(), logits, strict=True) if not np.isfinite(row.max())}
        return logits

    def _program(self, slots: Ids, positions: Ids, inputs: dict[str, Any], dims: dict[str, int]) -> Program:
        """What computes a step; where a sequence has pictures it gets further ``inputs`` and ``dims``."""
        named = slots.tolist()
        if self._vision is None or not self._vision.seeing(named):
            return self._step
        further, sizes = self._vision.inputs(named, positions)
        inputs.update(further)
        dims.update(sizes)
        return self._vision.step
