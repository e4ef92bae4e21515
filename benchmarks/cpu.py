"""Prompt and decode rates of the cpu backend, each beside what the machine itself gives in the same run.

    python benchmarks/cpu.py                      # the bundled demo
    python benchmarks/cpu.py --model PATH         # a .gguf file, a directory or a name
    python benchmarks/cpu.py --profile            # where the time of a decode step goes

Decode is bound by memory: its ratio is the share of the measured read bandwidth that the float32 weights account for.
A prompt is bound by arithmetic: its ratio is the share of a large matrix product's rate. A model that fits the
processor's caches is bound by the calls into NumPy instead, and both ratios are low.
"""

from __future__ import annotations

import argparse
import cProfile
import math
import pstats

import numpy as np

import ollamax
from ollamax.bench.bandwidth import rate, read_bandwidth
from ollamax.engine.model import Model


def product_rate(repeat: int) -> float:
    """Floating-point operations per second of a float32 matrix product."""
    size = 1024
    a = np.ones((size, size), np.float32)
    return rate(2.0 * size**3, lambda: a @ a, repeat)


def prompt_rate(model: Model, tokens: int, repeat: int) -> float:
    """Tokens per second of reading a prompt into an empty cache."""
    ids = np.random.default_rng(0).integers(0, model.tokenizer.n_vocab, tokens).tolist()

    def run() -> None:
        model.runner.truncate(0)
        model.runner.prefill(0, ids)

    return rate(tokens, run, repeat)


def decode_rate(model: Model, tokens: int, held: int, repeat: int) -> float:
    """Tokens per second of single steps behind ``held`` tokens; sampling is left out."""
    ids = np.random.default_rng(0).integers(0, model.tokenizer.n_vocab, max(1, held)).tolist()
    model.runner.truncate(0)
    model.runner.prefill(0, ids)

    def run() -> None:
        left = model.runner.truncate(0, len(ids))
        model.runner.prefill(0, ids[left:])  # nothing, save where windows have forgotten
        for token in ids[:1] * tokens:
            model.runner.decode([0], [token])

    return rate(tokens, run, repeat)


def answer_rate(model: Model, tokens: int, repeat: int) -> float:
    """Tokens per second of a whole generation as ``ollamax run`` does it, sampling and decoding of text included."""

    def run() -> int:
        return sum(chunk.token is not None for chunk in model.generate("Once", num_predict=tokens, seed=1))

    counted = run()
    return rate(counted, run, repeat)


def weights(model: Model) -> int:
    """Elements of the matrices that every token meets."""
    graph = model.runner.step_graph
    return sum(math.prod(map(int, node.shape)) for node in graph.weights.values() if len(node.shape) == 2)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=128, help="tokens per decode run")
    parser.add_argument("--threads", type=int, default=0, help="0 lets the backend choose")
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    bandwidth, product = read_bandwidth(given.repeat), product_rate(given.repeat)
    print(f"machine: read {bandwidth / 1e9:.1f} GB/s, float32 product {product / 1e9:.0f} GFLOP/s")
    with ollamax.load(given.model, backend="cpu", num_thread=given.threads) as model:
        size = weights(model)
        print(f"model: {given.model}, {size / 1e6:.1f} M weights, context {model.context_length}")
        print(f"{'row':<24}{'tokens/s':>10}  of the machine")
        for prompt in (32, 256):
            speed = prompt_rate(model, prompt, given.repeat)
            print(f"{f'prompt {prompt}':<24}{speed:>10.1f}  {2 * size * speed / product:.2f} of its product rate")
        for held in (0, model.context_length // 2):
            speed = decode_rate(model, given.tokens, held, given.repeat)
            print(f"{f'decode behind {held}':<24}{speed:>10.1f}  {4 * size * speed / bandwidth:.2f} of its bandwidth")
        print(f"{'answer':<24}{answer_rate(model, given.tokens, given.repeat):>10.1f}")
        if given.profile:
            profile = cProfile.Profile()
            profile.runcall(decode_rate, model, given.tokens, 0, 1)
            pstats.Stats(profile).sort_stats("tottime").print_stats(15)


if __name__ == "__main__":
    main()
