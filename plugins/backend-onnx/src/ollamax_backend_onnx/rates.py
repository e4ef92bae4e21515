"""How fast this backend was on a processor, beside llama.cpp on the same one."""

from __future__ import annotations

from ollamax.backend import Rate, Rates

RATES = Rates(
    {"Q4_0": Rate(0.92, 0.74), "Q8_0": Rate(1.78, 1.20), "K": Rate(0.98, 0.72), "float": Rate(1.32, 0.59)},
    "the lower of 1B and 0.5B Q8_0, 1B Q4_0 and Q4_K_M, 0.5B F16 by benchmarks/backends.py on x86_64, AVX-512, 2 cores",
)
