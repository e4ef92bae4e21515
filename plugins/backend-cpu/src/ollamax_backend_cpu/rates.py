"""How fast this backend was, beside llama.cpp on the same processor."""

from __future__ import annotations

from ollamax.backend import Rate, Rates

RATES = Rates(
    {"Q8_0": Rate(0.73, 0.38, 0.13), "float": Rate(0.59, 0.53, 0.17)},
    "0.5B Q8_0 and F16 by benchmarks/backends.py --backend cpu on x86_64 with AVX-512, 2 cores",
)
"""All weights are multiplied as float32 matrices, whatever they are stored as."""
