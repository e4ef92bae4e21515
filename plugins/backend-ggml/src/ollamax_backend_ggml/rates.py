"""How fast this backend was on a processor, beside llama.cpp on the same one."""

from __future__ import annotations

from dataclasses import replace

from ollamax.backend import Rate, Rates
from ollamax_backend_ggml.builds import VERSIONS
from ollamax_backend_ggml.library import Library

_GROUPS = {
    "Q4_0": Rate(1.00, 1.02, 1.20),
    "Q8_0": Rate(0.99, 1.00, 1.02),
    "K": Rate(0.79, 1.00, 1.84),
    "float": Rate(1.00, 1.02, 0.90),
}
_MEASURED = "by benchmarks/vs_llama_cpp.py and backends.py on x86_64 with AVX-512, 2 cores"

_NEWER = {"K": Rate(0.98, 0.98, 1.94)}
"""With the library of llama-cpp-python."""

_PLAIN = {"Q8_0": 0.55, "float": 0.55}
"""Rates of prompts without LLAMAFILE: from a trial with Q8_0, and taken to be the same for floats."""


def measured_rates(library: Library) -> Rates:
    """Those of this build of the library."""
    groups = dict(_GROUPS)
    if library.version().decode().startswith(VERSIONS[-1]):
        groups |= _NEWER
    if not library.cpu_has_llamafile():
        groups |= {group: replace(groups[group], prompt=rate) for group, rate in _PLAIN.items()}
        return Rates(groups, f"{_MEASURED}; prompts without LLAMAFILE in a trial of Q8_0")
    return Rates(groups, _MEASURED)
