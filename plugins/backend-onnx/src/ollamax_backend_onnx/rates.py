"""How fast this backend was on a processor, beside llama.cpp on the same one."""

from __future__ import annotations

from ollamax.backend import Rate, Rates

RATES = Rates(
    {
        "Q4_0": Rate(1.00, 0.75, 0.21),
        "Q8_0": Rate(1.48, 0.92, 0.20),
        "K": Rate(1.01, 0.63, 0.23),
        "float": Rate(1.26, 0.44, 0.07),
    },
    "1B Q4_0 and Q4_K_M, 0.5B F16, the geometric mean of 1B and 0.5B Q8_0 "
    "by benchmarks/backends.py on x86_64, AVX-512, 2 cores",
)
