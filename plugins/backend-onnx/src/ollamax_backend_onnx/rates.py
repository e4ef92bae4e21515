"""How fast this backend was on a processor, beside llama.cpp on the same one."""

from __future__ import annotations

from ollamax.backend import Rate, Rates

RATES = Rates(
    {
        "Q4_0": Rate(0.98, 0.67, 0.20),
        "Q8_0": Rate(1.32, 0.91, 0.27),
        "K": Rate(0.89, 0.55, 0.21),
        "float": Rate(1.29, 0.46, 0.09),
    },
    "1B Q4_0 and Q4_K_M, 0.5B Q8_0 and F16 by benchmarks/backends.py on x86_64, AVX-512, 2 cores",
)
