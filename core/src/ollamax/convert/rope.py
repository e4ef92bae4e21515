"""The RoPE settings of a config.json, in transformers' older and newer spelling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ollamax.convert.config import Config
from ollamax.errors import ConversionError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_ORIGINAL = "original_max_position_embeddings"
_KEYS = {
    "type",
    "rope_type",
    "rope_theta",
    "factor",
    "low_freq_factor",
    "high_freq_factor",
    "partial_rotary_factor",
    _ORIGINAL,
}
_YARN_KEYS = {"attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate"}


class Rope:
    """``kind`` (default, linear, llama3 or yarn), ``theta`` and ``factor`` of a config.json.

    Older files have ``rope_theta`` and ``rope_scaling`` with ``type`` or ``rope_type``; transformers 5 writes
    ``rope_parameters`` with everything inside. ``kinds`` are those that the architecture can run. Raises
    ConversionError for any other, and for settings that would be lost.
    """

    def __init__(self, config: Config, kinds: Sequence[str]) -> None:
        old, new = config.section("rope_scaling"), config.section("rope_parameters")
        for key in old:
            if key in new and old[key] != new[key]:
                raise ConversionError(f"config.json: rope_scaling and rope_parameters disagree about {key}")
        self._config = config
        self._settings = Config({**new, **old}, f"config.json: {'rope_scaling' if old else 'rope_parameters'}")
        read = self._settings
        self.kind = read.text("rope_type", default=read.text("type", default="default"))
        if self.kind not in kinds:
            raise ConversionError(
                f"config.json: RoPE scaling {self.kind!a:.40} is not supported; supported are {', '.join(kinds)}"
            )
        # Such as a RoPE per kind of layer, or yarn's settings under another type.
        known = _KEYS | _YARN_KEYS if self.kind == "yarn" else _KEYS
        if unknown := sorted(key for key in read if key not in known and read[key] is not None):
            raise ConversionError(f"config.json: RoPE settings {', '.join(unknown)!a:.100} are not supported")
        self.theta = read.number("rope_theta", default=config.number("rope_theta", default=10000.0))
        self.factor = 1.0 if self.kind == "default" else read.number("factor")
        partial = config.number("partial_rotary_factor", default=1.0)
        if read.number("partial_rotary_factor", default=partial) != 1.0:
            raise ConversionError("config.json: partial_rotary_factor other than 1 is not supported")

    def keys(self) -> dict[str, Any]:
        """The GGUF keys without the architecture's name; llama3 scaling is a tensor instead."""
        keys: dict[str, Any] = {"rope.freq_base": self.theta}
        if self.kind in ("linear", "yarn"):
            keys["rope.scaling.type"], keys["rope.scaling.factor"] = self.kind, self.factor
        return keys | self._yarn_keys() if self.kind == "yarn" else keys

    def frequency_factors(self, head_dim: int) -> npt.NDArray[np.float32]:
        """What each of the ``head_dim / 2`` frequencies is divided by under llama3 scaling.

        Wavelengths up to ``original / high_freq_factor`` stay, those beyond ``original / low_freq_factor`` are
        stretched by ``factor``, and the frequencies between are blended (Llama 3.1's reference code;
        ``_compute_llama3_parameters`` in transformers' modeling_rope_utils.py).
        """
        import numpy as np

        low, high = self._settings.number("low_freq_factor"), self._settings.number("high_freq_factor")
        if high <= low:
            raise ConversionError(f"config.json: high_freq_factor {high:g} must exceed low_freq_factor {low:g}")
        wavelength = 2 * math.pi * self.theta ** (np.arange(0, head_dim, 2) / head_dim)
        # 0 at the longest wavelength to blend, 1 at the shortest
        share = np.clip((self._original_length() / wavelength - low) / (high - low), 0, 1)
        return (1 / ((1 - share) / self.factor + share)).astype(np.float32)

    def _yarn_keys(self) -> dict[str, Any]:
        read = self._settings
        if not read.flag("truncate", default=True):
            raise ConversionError("config.json: yarn without truncate is not supported")
        keys: dict[str, Any] = {
            "rope.scaling.original_context_length": self._original_length(),
            "rope.scaling.yarn_beta_fast": read.number("beta_fast", default=32.0),
            "rope.scaling.yarn_beta_slow": read.number("beta_slow", default=1.0),
        }
        usual = _yarn_magnitude(self.factor)
        inferred = usual
        if read.get("mscale") is not None and read.get("mscale_all_dim") is not None:
            above, below = read.number("mscale"), read.number("mscale_all_dim")
            inferred = _yarn_magnitude(self.factor, above) / _yarn_magnitude(self.factor, below)
        magnitude = read.number("attention_factor", default=inferred)
        # llama.cpp multiplies by the usual magnitude itself.
        return keys if magnitude == usual else keys | {"rope.scaling.attn_factor": magnitude / usual}

    def _original_length(self) -> int:
        """The context length before scaling; the order of precedence is transformers'."""
        inside = self._settings.size(_ORIGINAL, default=self._config.size("max_position_embeddings"))
        return self._config.size(_ORIGINAL, default=inside)


def _yarn_magnitude(factor: float, scale: float = 1.0) -> float:
    """By what yarn multiplies queries and keys (Peng et al. 2023, section 3.4)."""
    return 1.0 if factor <= 1 else 0.1 * scale * math.log(factor) + 1.0
