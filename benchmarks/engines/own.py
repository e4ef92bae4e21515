"""ollamax as a worker, see work.py."""

from __future__ import annotations

from importlib import metadata

from work import Stopwatch, arguments, random_ids, serve

import ollamax


class Own:
    """Steps of the runner below ``generate``, with a greedy choice."""

    def __init__(self, model: ollamax.Model) -> None:
        self._runner, self._vocabulary = model.runner, model.tokenizer.n_vocab
        self._held = 0

    def prompt(self, tokens: int) -> float:
        """See work.Engine."""
        self._runner.truncate(0)
        self._held = 0
        with Stopwatch() as watch:
            self._runner.prefill(0, random_ids(self._vocabulary, tokens))
        return watch.seconds

    def decode(self, steps: int, held: int) -> float:
        """See work.Engine."""
        if self._held != held:
            self._runner.truncate(0)
            if held:
                self._runner.prefill(0, random_ids(self._vocabulary, held))
            self._held = held
        self._runner.truncate(0, held)
        token = 1
        with Stopwatch() as watch:
            for _ in range(steps):
                token = int(self._runner.decode([0], [token])[0].argmax())
        return watch.seconds

    def parallel(self, sequences: int, steps: int) -> float:
        """See work.Engine."""
        slots = list(range(sequences))
        for slot in slots:
            self._runner.truncate(slot)
            self._runner.prefill(slot, random_ids(self._vocabulary, 32, slot))
        tokens = [1] * sequences
        with Stopwatch() as watch:
            for _ in range(steps):
                tokens = self._runner.decode(slots, tokens).argmax(axis=1).tolist()
        return watch.seconds


if __name__ == "__main__":
    given = arguments(backend="ggml")
    options = {"num_ctx": given.context, "num_thread": given.threads, "num_batch": 512}
    with ollamax.load(
        given.model, backend=given.backend, parallel=given.sequences, cache_type="f16", **options
    ) as loaded:
        serve(Own(loaded), metadata.version("ollamax-core"))
