"""ollamax as a worker, see work.py: ``python -m ollamax.bench.engine MODEL --threads 2 --context 1024``."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from typing import Any

import ollamax
from ollamax.bench.endless import Endless
from ollamax.bench.work import START, Stopwatch, arguments, random_ids, serve
from ollamax.engine.draft_length import StepCosts
from ollamax.engine.generate import Generation
from ollamax.engine.model import Model
from ollamax.engine.sequence import Sequence as Held
from ollamax.plugins.discovery import GROUP


class Own:
    """Steps of the runner below ``generate``, with a greedy choice; chat and overhead go through a Generation."""

    def __init__(self, model: Model) -> None:
        self._model, self._runner, self._vocabulary = model, model.runner, model.tokenizer.n_vocab
        self._tokenizer = Endless(model.tokenizer)
        self._held = 0

    def about(self) -> dict[str, Any]:
        """See work.Engine."""
        backend = self._model.backend
        package = type(backend).__module__.partition(".")[0]
        cannot = {}
        if backend.compute_seconds is None:
            cannot["overhead"] = f"backend {backend.name} does not count the time in which it computes"
        return {
            "backend": backend.name,
            "versions": {"python": platform.python_version(), **_versions(package)},
            "devices": [{"name": device.name, "kind": device.kind} for device in backend.probe().devices],
            "step_bytes": self._model.step_bytes,
            "cannot": cannot,
        }

    def prompt(self, tokens: int) -> list[float]:
        """See work.Engine."""
        self._forget()
        ids = random_ids(self._vocabulary, tokens)
        with Stopwatch() as watch:
            self._runner.prefill(0, ids)
        return [watch.seconds]

    def decode(self, steps: int, held: int) -> list[float]:
        """See work.Engine."""
        if self._held != held:
            self._forget()
        # What is still there is not computed again; a window may have forgotten more than was added.
        left = self._runner.truncate(0, held)
        if missing := random_ids(self._vocabulary, held)[left:]:
            self._runner.prefill(0, missing)
        self._held = held
        token = 1
        with Stopwatch() as watch:
            for _ in range(steps):
                token = int(self._runner.decode([0], [token])[0].argmax())
        return [watch.seconds]

    def parallel(self, sequences: int, steps: int) -> list[float]:
        """See work.Engine."""
        self._forget()
        slots = list(range(sequences))
        for slot in slots:
            self._runner.truncate(slot)
            self._runner.prefill(slot, random_ids(self._vocabulary, START, slot))
        tokens = [1] * sequences
        with Stopwatch() as watch:
            for _ in range(steps):
                tokens = self._runner.decode(slots, tokens).argmax(axis=1).tolist()
        return [watch.seconds]

    def chat(self, history: int, answer: int, message: int) -> list[float]:
        """See work.Engine."""
        held, seconds = self._sequence(), []
        prompt = random_ids(self._vocabulary, history)
        for turn in range(2):
            chunks = iter(self._generation(held, prompt, answer))
            with Stopwatch() as watch:
                tokens = [next(chunks).token]
            seconds.append(watch.seconds)
            tokens += [chunk.token for chunk in chunks]
            prompt += [token for token in tokens if token is not None]
            prompt += random_ids(self._vocabulary, message, turn + 1)
        return seconds

    def overhead(self, steps: int) -> list[float]:
        """See work.Engine."""
        backend = self._model.backend
        chunks = iter(self._generation(self._sequence(), random_ids(self._vocabulary, START), steps + 1))
        next(chunks)
        before = backend.compute_seconds or 0.0
        with Stopwatch() as watch:
            for _ in chunks:
                pass
        return [(backend.compute_seconds or 0.0) - before, watch.seconds]

    def _generation(self, held: Held, prompt: Sequence[int], tokens: int) -> Generation:
        # Random tokens may repeat, and then steps of several drafted ones would be counted.
        options = self._model.options.merge({"num_predict": tokens, "temperature": 0, "draft_num_predict": 0})
        return Generation(held, self._tokenizer, prompt, options, costs=StepCosts())

    def _sequence(self) -> Held:
        self._forget()
        return Held(self._runner)

    def _forget(self) -> None:
        self._runner.truncate(0)
        self._held = 0


def main() -> None:
    """Serve the model that the command line names."""
    given = arguments(backend="auto", batch="", layers="", cache_type="")
    settings = {"num_batch": given.batch, "num_gpu": given.layers}
    options = {name: value for name, value in settings.items() if value}
    options |= {"num_ctx": given.context, "num_thread": given.threads}

    def load() -> Own:
        model = ollamax.load(
            given.model, backend=given.backend, parallel=given.sequences, cache_type=given.cache_type or None, **options
        )
        return Own(model)

    serve(load)


def _versions(package: str) -> dict[str, str]:
    """Those of core, of the distribution whose plugin is in ``package``, and of what that requires."""
    owners = (entry.dist for entry in metadata.entry_points(group=GROUP) if entry.module.partition(".")[0] == package)
    owner = next(owners, None)
    named = {"ollamax-core", "numpy"}
    if owner is not None:
        named |= {owner.name, *(re.split(r"[^\w.-]", required)[0] for required in owner.requires or ())}
    found = {}
    for name in sorted(named):
        with suppress(metadata.PackageNotFoundError):  # what another platform requires
            found[name] = metadata.version(name)
    return found


if __name__ == "__main__":
    main()
