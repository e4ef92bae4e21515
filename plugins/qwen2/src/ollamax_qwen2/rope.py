"""The RoPE of a qwen2 file: plain, linear, or yarn (Peng et al. 2023), with llama.cpp's keys and meanings."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ollamax.errors import ArchitectureError
from ollamax.gguf import Metadata
from ollamax.ml import Tensor, nn
from ollamax.ml.tensor import const

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_SCALING = "qwen2.rope.scaling."
_REFUSED = ("alpha", "yarn_ext_factor", "yarn_log_multiplier")  # llama.cpp's settings that Qwen2 does not have
_WIDEST_HEAD = 1 << 16  # bounds the table that a hostile file asks for


@dataclass(frozen=True)
class Rotation:
    """A RoPE and the factors that its frequencies are divided by."""

    rope: nn.Rope
    factors: Tensor | None = None

    def __call__(self, x: Tensor, positions: Tensor) -> Tensor:
        """Turn queries or keys ``(N, T, heads, width)`` to ``positions (N, T)``."""
        return self.rope(x, positions, self.factors)

    def shift(self, key: Tensor, delta: Tensor) -> Tensor:
        """Turn cached keys on by ``delta (N, S)``; they hold yarn's magnitude already."""
        return replace(self.rope, magnitude=1.0)(key, delta, self.factors)


def read_rotation(metadata: Metadata, head_dim: int) -> Rotation:
    """The rotation that the keys ``qwen2.rope.*`` describe; raises ArchitectureError and GGUFError."""
    dims = metadata.integer("qwen2.rope.dimension_count", head_dim, minimum=1)
    most = min(head_dim, _WIDEST_HEAD)
    if dims % 2 or dims > most:
        raise ArchitectureError(
            f"{metadata.origin}: qwen2.rope.dimension_count is {dims}, "
            f"expected an even number up to the head size, and {most} at most"
        )
    for key in _REFUSED:
        if _SCALING + key in metadata:
            raise ArchitectureError(f"{metadata.origin}: {_SCALING}{key} is not supported; expected a file without it")
    # A factor without a type is linear, as in llama.cpp.
    kind = metadata.string(_SCALING + "type", "linear" if _SCALING + "factor" in metadata else "none")
    if kind not in ("none", "linear", "yarn"):
        raise ArchitectureError(f"{metadata.origin}: {_SCALING}type is {kind!r}, expected none, linear or yarn")
    factor = 1.0 if kind == "none" else metadata.number(_SCALING + "factor", minimum=1e-6, maximum=1e9)
    magnitude = metadata.number(_SCALING + "attn_factor", 1.0, minimum=1e-6)
    rope = nn.Rope(
        base=metadata.number("qwen2.rope.freq_base", 10000.0, minimum=1.0, maximum=1e12),
        dims=dims,
        pairing="halves",
        scale=1.0 / factor if kind == "linear" else 1.0,
        magnitude=magnitude,
    )
    if kind != "yarn":
        return Rotation(rope)
    usual = 1.0 if factor <= 1 else 0.1 * math.log(factor) + 1.0
    # What llama.cpp's converter writes is all of the magnitude; attn_factor multiplies the usual one.
    whole = metadata.number(_SCALING + "yarn_attn_factor", usual * magnitude, minimum=1e-6)
    return Rotation(replace(rope, magnitude=whole), const(_yarn_factors(metadata, rope, factor)))


def _yarn_factors(metadata: Metadata, rope: nn.Rope, factor: float) -> npt.NDArray[np.float32]:
    """What each of the ``dims / 2`` frequencies is divided by: 1 for the fast ones, ``factor`` for the slow ones.

    Fast and slow are those that turn more than ``beta_fast`` and less than ``beta_slow`` times within the original
    context; between lies a ramp (section 3.2 of the paper, with the bounds rounded as its authors' code does).
    """
    import numpy as np

    original = metadata.integer(
        _SCALING + "original_context_length", metadata.integer("qwen2.context_length", minimum=1), minimum=1
    )
    betas = (
        metadata.number(_SCALING + "yarn_beta_fast", 32.0, minimum=1e-6),
        metadata.number(_SCALING + "yarn_beta_slow", 1.0, minimum=1e-6),
    )
    if rope.base <= 1.0:
        raise ArchitectureError(f"{metadata.origin}: qwen2.rope.freq_base is {rope.base:g}; yarn needs more than 1")
    fast, slow = (rope.dims * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(rope.base)) for turns in betas)
    low, high = max(math.floor(fast), 0), min(math.ceil(slow), rope.dims - 1)
    if low > high:
        raise ArchitectureError(
            f"{metadata.origin}: yarn's ramp would go from frequency {low} down to {high}; expected "
            f"{_SCALING}yarn_beta_fast above yarn_beta_slow, and an original_context_length that fits freq_base"
        )
    one, pairs = np.float32(1), np.arange(rope.dims // 2)
    # Float32 in the order of transformers' _compute_yarn_parameters: far into the context, its rounding shows.
    kept = one - np.clip((pairs.astype(np.float32) - low) / np.float32(high - low or 0.001), 0, 1, dtype=np.float32)
    slowness = (rope.base ** (2 * pairs / rope.dims)).astype(np.float32)
    blended = one / (np.float32(factor) * slowness) * (one - kept) + one / slowness * kept
    return np.asarray(one / slowness / blended, np.float32)
