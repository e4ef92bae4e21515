"""llama.cpp as a worker, see ollamax.bench.work: its C interface, as fast as it goes from Python."""

from __future__ import annotations

import ctypes
from typing import Any

import llama_cpp
import numpy as np

from ollamax.bench.work import START, Stopwatch, arguments, random_ids, serve


class LlamaCpp:
    """One context with F16 caches, flash attention, and a cache of its own for every sequence."""

    def __init__(self, path: str, threads: int, context: int, sequences: int) -> None:
        llama_cpp.llama_log_set(_silence, ctypes.c_void_p())
        self._model = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
        options = llama_cpp.llama_context_default_params()
        options.n_ctx, options.n_seq_max = context * sequences, sequences
        options.n_batch = options.n_ubatch = 512
        options.n_threads = options.n_threads_batch = threads
        options.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
        self._context = llama_cpp.llama_init_from_model(self._model, options)
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self._model))
        self._batch = llama_cpp.llama_batch_init(512, 0, 1)
        self._held = 0

    def about(self) -> dict[str, Any]:
        """See work.Engine."""
        return {
            "versions": {"llama-cpp-python": llama_cpp.__version__},
            "cannot": {"overhead": "llama.cpp decodes without Python"},
        }

    def prompt(self, tokens: int) -> list[float]:
        """See work.Engine."""
        self._forget()
        ids = random_ids(self._vocabulary, tokens)
        with Stopwatch() as watch:
            self._read(0, ids)
            self._logits(1)
        return [watch.seconds]

    def decode(self, steps: int, held: int) -> list[float]:
        """See work.Engine."""
        if self._held != held:
            self._forget()
            self._read(0, random_ids(self._vocabulary, held))
            self._held = held
        llama_cpp.llama_memory_seq_rm(self._memory, 0, held, -1)
        with Stopwatch() as watch:
            self._go_on(held, 1, steps)
        return [watch.seconds]

    def parallel(self, sequences: int, steps: int) -> list[float]:
        """See work.Engine."""
        self._forget()
        for slot in range(sequences):
            self._read(slot, random_ids(self._vocabulary, START, slot))
        tokens = [1] * sequences
        with Stopwatch() as watch:
            for step in range(steps):
                self._run([(slot, START + step, token, True) for slot, token in enumerate(tokens)])
                tokens = self._logits(sequences).argmax(axis=1).tolist()
        return [watch.seconds]

    def chat(self, history: int, answer: int, message: int) -> list[float]:
        """See work.Engine; the second turn goes on behind what the cache holds."""
        self._forget()
        seconds, said, held = [], random_ids(self._vocabulary, history), 0
        for turn in range(2):
            with Stopwatch() as watch:
                self._read(0, said, held)
                token = int(self._logits(1)[0].argmax())
            seconds.append(watch.seconds)
            last = self._go_on(held + len(said), token, answer - 1)
            held += len(said) + answer - 1
            said = [last, *random_ids(self._vocabulary, message, turn + 1)]
        return seconds

    def overhead(self, steps: int) -> list[float]:
        """See work.Engine; ``about`` says that this cannot be measured."""
        raise NotImplementedError

    def _forget(self) -> None:
        llama_cpp.llama_memory_clear(self._memory, False)
        self._held = 0

    def _go_on(self, position: int, token: int, steps: int) -> int:
        """Greedy tokens after ``token``; returns the last."""
        for step in range(steps):
            self._run([(0, position + step, token, True)])
            token = int(self._logits(1)[0].argmax())
        return token

    def _read(self, slot: int, ids: list[int], position: int = 0) -> None:
        for start in range(0, len(ids), 512):
            part = ids[start : start + 512]
            last = len(part) - 1 if start + len(part) == len(ids) else -1
            self._run([(slot, position + start + i, token, i == last) for i, token in enumerate(part)])

    def _run(self, tokens: list[tuple[int, int, int, bool]]) -> None:
        batch = self._batch
        batch.n_tokens = len(tokens)
        for at, (slot, position, token, wanted) in enumerate(tokens):
            batch.token[at], batch.pos[at], batch.logits[at] = token, position, wanted
            batch.n_seq_id[at], batch.seq_id[at][0] = 1, slot
        if status := llama_cpp.llama_decode(self._context, batch):
            raise RuntimeError(f"llama_decode gave {status}")

    def _logits(self, rows: int) -> np.ndarray:
        pointer = llama_cpp.llama_get_logits(self._context)
        return np.ctypeslib.as_array(pointer, (rows, self._vocabulary))


@llama_cpp.llama_log_callback
def _silence(_level: int, _text: bytes, _data: object) -> None:
    """Its log goes to standard error otherwise."""


if __name__ == "__main__":
    given = arguments()
    serve(lambda: LlamaCpp(given.model, given.threads, given.context, given.sequences))
