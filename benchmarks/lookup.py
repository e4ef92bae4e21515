"""Tokens per second of greedy answers with and without prompt-lookup drafting, in interleaved pairs.

    python benchmarks/lookup.py                          # a synthetic llama of 1B in Q4_0, on the ggml backend
    python benchmarks/lookup.py --type Q4_K_M --pairs 7
    python benchmarks/lookup.py --demo --backend cpu     # the bundled model, which is trained, and its stories

The synthetic model has the shapes and the vocabulary of a real one, and weights such that it counts: after token t
comes t + 1. So a prompt decides how much of the answer stands in it. Nothing else is arranged: every matrix is read and
multiplied, and every drafted token is checked, as with trained weights. The prompts hold what the answer will be

- whole: in one piece, as in text that is copied,
- in runs of 16 or 4 tokens in a random order, as in text that is edited: each run's end proposes wrong tokens,
- in runs of 2, so that every proposal is wrong: the worst that plain text can do,
- not at all.

A row tells whether both answers were the same tokens.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from random_models import POOL, SHAPES, VOCABULARIES, write_random_model

import ollamax
from ollamax.convert.file_type import parse_file_type
from ollamax.engine.chunk import Stats
from ollamax.engine.model import Model

DEMO = {
    "story that repeats": "The owl lit the lantern. The fox ran home. " * 4 + "The owl",
    "story": "Tell me a story about an owl and a lantern",
}


@dataclass(frozen=True)
class Answer:
    """What was generated, and what it cost."""

    tokens: list[int]
    stats: Stats


def counting_prompts(width: int, tokens: int) -> dict[str, list[int]]:
    """Prompts of one length that end with token 0, after which the answer is 1, 2, 3, ..."""
    period = POOL // width
    if 2 * tokens + 1 > period:
        raise SystemExit(f"--tokens is {tokens}; this model counts to {period}, so take at most {(period - 1) // 2}")
    random = np.random.default_rng(0)
    counted, other = np.arange(tokens + 1), np.arange(tokens + 1, 2 * tokens + 2)
    prompts = {"whole": [*counted.tolist(), 0]}
    for size in (16, 4, 2):
        runs = [counted[start : start + size].tolist() for start in range(0, tokens + 1, size)]
        order = random.permutation(len(runs)).tolist()
        prompts[f"in runs of {size}"] = [*(token for at in order for token in runs[at]), 0]
    return prompts | {"not at all": [*random.permutation(other).tolist(), 0]}


def answer(model: Model, prompt: Sequence[int] | str, tokens: int, draft: int) -> Answer:
    """One greedy answer."""
    chunks = list(model.generate(prompt, temperature=0, num_predict=tokens, draft_num_predict=draft))
    stats = chunks[-1].stats
    if stats is None:
        raise SystemExit("an answer came without figures")
    return Answer([chunk.token for chunk in chunks if chunk.token is not None], stats)


def measure(model: Model, name: str, prompt: Sequence[int] | str, given: argparse.Namespace) -> str:
    """A row: medians of tokens per second and of the ratio of each pair."""
    pairs = []
    for number in range(given.pairs + 1):
        drafts = (0, given.draft) if number % 2 else (given.draft, 0)
        found = {draft: answer(model, prompt, given.tokens, draft) for draft in drafts}
        if number:  # the first pair only warms up
            pairs.append((found[0], found[given.draft]))
    plain, drafted = (statistics.median(pair[at].stats.eval_rate for pair in pairs) for at in (0, 1))
    ratio = statistics.median(pair[1].stats.eval_rate / pair[0].stats.eval_rate for pair in pairs)
    same = "yes" if all(pair[0].tokens == pair[1].tokens for pair in pairs) else "NO"
    last = pairs[-1][1].stats
    counts = f"{last.accepted_tokens}/{last.drafted_tokens}"
    return f"{name:<22}{plain:>10.1f}{drafted:>10.1f}{ratio:>8.2f}{counts:>12}{same:>8}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="llama-1b")
    parser.add_argument("--type", default="Q4_0")
    parser.add_argument("--folder", type=Path, default=Path("models"), help="where the synthetic model is kept")
    parser.add_argument("--vocabulary", type=Path, default=VOCABULARIES, help="the folder of vocabulary files")
    parser.add_argument("--demo", action="store_true", help="the bundled model instead")
    parser.add_argument("--backend", default="ggml")
    parser.add_argument("--threads", type=int, default=0, help="0 lets the backend choose")
    parser.add_argument("--tokens", type=int, default=192, help="length of an answer")
    parser.add_argument("--draft", type=int, default=-1, help="draft_num_predict; -1 is what users get")
    parser.add_argument("--pairs", type=int, default=7)
    given = parser.parse_args()
    path: Path | str = "demo"
    prompts: dict[str, Sequence[int] | str] = dict(DEMO)
    if not given.demo:
        shape = replace(SHAPES[given.shape], counts=True)
        given.folder.mkdir(exist_ok=True)
        path = given.folder / f"counting-{given.shape}-{given.type}.gguf"
        write_random_model(path, shape, parse_file_type(given.type), given.vocabulary)
        prompts = dict(counting_prompts(shape.width, given.tokens))
    print(f"{'the answer stands':<22}{'plain':>10}{'drafted':>10}{'ratio':>8}{'accepted':>12}{'same':>8}")
    for name, prompt in prompts.items():
        with ollamax.load(path, backend=given.backend, num_thread=given.threads) as model:
            print(measure(model, name, prompt, given), flush=True)


if __name__ == "__main__":
    main()
