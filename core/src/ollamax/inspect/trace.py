"""A trace: every named intermediate tensor of one computation, and what it was a computation of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ollamax.errors import UsageError
from ollamax.types import TensorSource

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Trace:
    """``tensors`` are float32 ``(len(tokens), ...)`` by name, in the order of computation.

    ``made_by`` is a backend's name, or "transformers". ``digest`` tells the weights from others (empty if it was not
    taken), ``weights`` is the least exact type among those that are multiplied with. ``modules`` are the names of the
    modules that have weights: what a computation must not leave out.
    """

    model: str
    digest: str
    architecture: str
    made_by: str
    weights: str
    vocabulary: int
    layers: int
    tokens: tuple[int, ...]
    tensors: Mapping[str, Array]
    modules: frozenset[str] = frozenset()


def check_tokens(tokens: Sequence[int], vocabulary: int, most: int, name: str) -> tuple[int, ...]:
    """``tokens`` if the model called ``name`` can read them; raises UsageError."""
    if not tokens:
        raise UsageError("the prompt has no tokens; give some text or ids")
    for token in tokens:
        if not 0 <= token < vocabulary:
            raise UsageError(f"token id {token} is outside the vocabulary of {name}, expected 0 to {vocabulary - 1}")
    if len(tokens) > most:
        raise UsageError(f"the prompt has {len(tokens)} tokens, and {name} was trained for {most}; shorten it")
    return tuple(tokens)


def source_digest(source: TensorSource) -> str:
    """SHA-256 over names, types, shapes and bytes of all tensors in the order of their names.

    A checkpoint and the GGUF file that it was converted to without quantisation have the same.
    """
    digest = hashlib.sha256()
    for name in sorted(source.tensors):
        info = source.tensors[name]
        digest.update(f"{name} {info.dtype.name} {info.shape}\n".encode())
        digest.update(source.tensor_bytes(name).data)
    return f"sha256:{digest.hexdigest()}"
