"""Packs documents into rows of tokens without cutting those that fit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from random import Random

import torch
from corpus import END_OF_TEXT
from tokenizers import Tokenizer

IGNORED = -100
POOL = 1024


def rows(tokenizer: Tokenizer, length: int, source: Iterator[str], rng: Random) -> Iterator[list[int]]:
    """Yield rows of at most `length` tokens; whole documents lie in a row as long as they fit in one."""
    while True:
        texts = list(islice(source, POOL))
        pool = [code.ids[:length] for code in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
        bins: list[list[int]] = []
        for ids in sorted(pool, key=len, reverse=True):
            # First fit into the most recent bins: older ones are nearly full, and a full search is slow.
            row = next((row for row in bins[-64:] if len(row) + len(ids) <= length), None)
            if row is None:
                bins.append(row := [])
            row.extend(ids)
        rng.shuffle(bins)
        yield from bins


def batches(
    tokenizer: Tokenizer, length: int, count: int, texts: Iterator[str]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield (inputs, targets) of `count` rows; what is padding is ignored in the targets."""
    source = rows(tokenizer, length + 1, texts, Random(0))
    padding = tokenizer.token_to_id(END_OF_TEXT)
    while True:
        inputs = torch.full((count, length + 1), padding)
        targets = torch.full((count, length + 1), IGNORED)
        for index, row in enumerate(islice(source, count)):
            inputs[index, : len(row)] = torch.tensor(row)
            targets[index, : len(row)] = torch.tensor(row)
        yield inputs[:, :-1], targets[:, 1:]
