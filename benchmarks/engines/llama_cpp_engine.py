"""llama.cpp as a worker, see work.py: its C interface, as fast as it goes from Python."""

from __future__ import annotations

import ctypes

import llama_cpp
import numpy as np
from work import Stopwatch, arguments, random_ids, serve


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

    def prompt(self, tokens: int) -> float:
        """See work.Engine."""
        llama_cpp.llama_memory_clear(self._memory, False)
        self._held = 0
        ids = random_ids(self._vocabulary, tokens)
        with Stopwatch() as watch:
            self._read(0, ids)
            self._logits(1)
        return watch.seconds

    def decode(self, steps: int, held: int) -> float:
        """See work.Engine."""
        if self._held != held:
            llama_cpp.llama_memory_clear(self._memory, False)
            self._read(0, random_ids(self._vocabulary, held))
            self._held = held
        llama_cpp.llama_memory_seq_rm(self._memory, 0, held, -1)
        token = 1
        with Stopwatch() as watch:
            for step in range(steps):
                self._run([(0, held + step, token, True)])
                token = int(self._logits(1)[0].argmax())
        return watch.seconds

    def parallel(self, sequences: int, steps: int) -> float:
        """See work.Engine."""
        llama_cpp.llama_memory_clear(self._memory, False)
        for slot in range(sequences):
            self._read(slot, random_ids(self._vocabulary, 32, slot))
        tokens = [1] * sequences
        with Stopwatch() as watch:
            for step in range(steps):
                self._run([(slot, 32 + step, token, True) for slot, token in enumerate(tokens)])
                tokens = self._logits(sequences).argmax(axis=1).tolist()
        return watch.seconds

    def _read(self, slot: int, ids: list[int]) -> None:
        for start in range(0, len(ids), 512):
            part = ids[start : start + 512]
            last = start + len(part) == len(ids)
            self._run([(slot, start + i, token, last and i == len(part) - 1) for i, token in enumerate(part)])

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
    serve(LlamaCpp(given.model, given.threads, given.context, given.sequences), llama_cpp.__version__)
