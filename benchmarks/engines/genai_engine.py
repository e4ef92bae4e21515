"""onnxruntime-genai as a worker, see ollamax.bench.work: its generator with the greedy choice of its own."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime_genai as genai

from ollamax.bench.work import START, Stopwatch, arguments, random_ids, serve


class Genai:
    """One model, and a generator for each kind of work, with a float32 cache as long as the context."""

    def __init__(self, path: str, threads: int, context: int) -> None:
        config = genai.Config(path)
        if threads:
            session = {"session_options": {"intra_op_num_threads": threads}}
            config.overlay(json.dumps({"model": {"decoder": session}}))
        self._model = genai.Model(config)
        told = json.loads(Path(path, "genai_config.json").read_text("utf-8"))["model"]
        self._vocabulary, self._context = told["vocab_size"], context
        self._generator: Any = None
        self._held = -1

    def about(self) -> dict[str, Any]:
        """See work.Engine."""
        versions = {"onnxruntime-genai": genai.__version__, "genai's onnxruntime": metadata.version("onnxruntime")}
        return {"versions": versions, "cannot": {"overhead": "onnxruntime-genai decodes without Python"}}

    def prompt(self, tokens: int) -> list[float]:
        """See work.Engine; the logits stay where the generator has them."""
        generator = self._fresh()
        ids = random_ids(self._vocabulary, tokens)
        with Stopwatch() as watch:
            generator.append_tokens(ids)
        return [watch.seconds]

    def decode(self, steps: int, held: int) -> list[float]:
        """See work.Engine."""
        if self._held != held:
            generator = self._fresh()
            if held:
                generator.append_tokens(random_ids(self._vocabulary, held))
            self._held = held
        else:
            generator = self._generator
            generator.rewind_to(held)
        with Stopwatch() as watch:
            generator.append_tokens([1])
            self._go_on(steps)
        _check(generator, held + 1 + steps)
        return [watch.seconds]

    def parallel(self, sequences: int, steps: int) -> list[float]:
        """See work.Engine; each begins with the likeliest token behind its prompt."""
        generator = self._fresh(sequences)
        generator.append_tokens(np.array([random_ids(self._vocabulary, START, slot) for slot in range(sequences)]))
        generator.generate_next_token()
        with Stopwatch() as watch:
            self._go_on(steps)
        _check(generator, START + 1 + steps)
        return [watch.seconds]

    def chat(self, history: int, answer: int, message: int) -> list[float]:
        """See work.Engine; the second turn goes on behind what the cache holds."""
        generator = self._fresh()
        seconds, said = [], random_ids(self._vocabulary, history)
        for turn in range(2):
            with Stopwatch() as watch:
                generator.append_tokens(said)
                generator.generate_next_token()
            seconds.append(watch.seconds)
            self._go_on(answer - 1)
            said = random_ids(self._vocabulary, message, turn + 1)
        _check(generator, history + 2 * answer + message)
        return seconds

    def overhead(self, steps: int) -> list[float]:
        """See work.Engine; ``about`` says that this cannot be measured."""
        raise NotImplementedError

    def _fresh(self, sequences: int = 1) -> Any:
        self._generator, self._held = None, -1  # one cache at a time
        options = genai.GeneratorParams(self._model)
        # Random weights may choose any token, also an end, behind which a generator would do nothing more. Two more
        # tokens are for those that are chosen but not read.
        length = self._context + 2
        options.set_search_options(max_length=length, min_length=length, batch_size=sequences, do_sample=False)
        self._generator = genai.Generator(self._model, options)
        return self._generator

    def _go_on(self, steps: int) -> None:
        for _ in range(steps):
            self._generator.generate_next_token()


def _check(generator: Any, tokens: int) -> None:
    """A generator that came to an end does nothing, fast."""
    if generator.token_count() != tokens:
        raise RuntimeError(f"onnxruntime-genai holds {generator.token_count()} tokens, expected {tokens}")


if __name__ == "__main__":
    given = arguments()
    serve(lambda: Genai(given.model, given.threads, given.context))
