"""The training text: stories and conversations, made up by seed.

``python corpus.py --seed 7 --documents 3`` prints some of it. A document is a list of parts, so that special tokens
are placed by the tokenizer's user and no text can imitate them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from random import Random

from chat import conversation
from story import Wish, tell

BOS, END_OF_TEXT, END = "<|begin_of_text|>", "<|end_of_text|>", "<|end|>"
USER, ASSISTANT, SYSTEM = "<|user|>", "<|assistant|>", "<|system|>"
SPECIALS = (BOS, END_OF_TEXT, USER, ASSISTANT, SYSTEM, END)


def story(rng: Random) -> str:
    """Return a plain story, as one would be continued after ``Once upon a time``."""
    wish = Wish(classic=rng.random() < 0.7, short=rng.random() < 0.15)
    return BOS + tell(wish, rng).text + END_OF_TEXT


def chat(rng: Random, long: bool = False) -> str:
    """Return a conversation in the form that the chat template writes."""
    system, turns = conversation(rng, long)
    text = BOS + (SYSTEM + system + END if system else "")
    for asked, answer in turns:
        text += USER + asked + END + ASSISTANT + answer + END
    return text


def documents(seed: int, long: bool = False) -> Iterator[str]:
    """Yield documents without end; `long` yields conversations with many stories, for training long contexts."""
    rng = Random(seed)
    while True:
        yield chat(rng, long) if rng.random() < (0.85 if long else 0.72) else story(rng)


def main() -> None:
    """Print some documents."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--documents", type=int, default=5)
    parser.add_argument("--long", action="store_true")
    args = parser.parse_args()
    source = documents(args.seed, args.long)
    for _ in range(args.documents):
        print(next(source), end="\n\n")


if __name__ == "__main__":
    main()
