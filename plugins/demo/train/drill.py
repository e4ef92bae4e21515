"""Exercises in copying, for the first minutes of training.

A story mentions its hero a dozen times, but so much else is in it that a model learns to write fluent sentences about
nobody long before it learns to look up whom they are about: after three million tokens of stories alone it still called
every hero by another name in every sentence. These short texts hold little else than names and nouns to look up, and
teach that within half a million tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import nouns
from cast import human, invented, some_noun
from corpus import ASSISTANT, BOS, END, USER, documents
from grammar import render

_ASKED = ("a {noun}", "a {adj} {noun}", "a {noun} named {name}", "a {noun} and a {item}", "a {noun} and a {other}")
_TOLD = (
    "There was a {adj} {noun} named {name}. {name} had a {item}. The {noun} lost the {item}. {name} the {noun} met"
    " {friend} the {other}. {friend} found the {item}.",
    "A {noun} named {name} lived here. The {adj} {noun} liked {friend}, a {other}. {name} saw a {item}. The {other}"
    " took the {item}. It was for {name} the {noun}.",
    "{name} was a {adj} {noun}. {friend} was a {other}. {name} and {friend} found a {item}. The {noun} gave the {item}"
    " to the {other}.",
)


def exercise(rng: Random) -> str:
    """Return a request and a text of a few sentences that answers it."""
    names = (*nouns.HE_NAMES, *nouns.SHE_NAMES, *nouns.ANY_NAMES)
    first, second = (invented(rng).capitalize() if rng.random() < 0.2 else rng.choice(names) for _ in range(2))
    noun = some_noun(rng)
    slots = {
        "noun": [noun],
        "other": [some_noun(rng)],
        "name": [first],
        "friend": [second],
        "item": [rng.choice(nouns.ITEMS)],
        "adj": [rng.choice(nouns.PEOPLE_ADJECTIVES if human(noun) else nouns.ADJECTIVES)],
    }
    asked = render("tell me a story about " + rng.choice(_ASKED), slots, rng)
    return BOS + USER + asked + END + ASSISTANT + render(rng.choice(_TOLD), slots, rng) + END


def repetition(rng: Random) -> str:
    """Return a request to repeat made-up words, and the words, some of them several times.

    Common names are one token each and can be looked up by their kind; to copy ``platypus`` from a request a model must
    find what followed the last piece before, and only text like this makes it learn that early.
    """
    words = " ".join(invented(rng) for _ in range(rng.randint(2, 9)))
    times = rng.choice((1, 1, 2, 3))
    asked = f"{rng.choice(('Repeat after me', 'Repeat', 'Please say', 'Say'))}: {words}"
    return BOS + USER + asked + END + ASSISTANT + "All right: " + ", ".join([words] * times) + "." + END


def exercises(seed: int) -> Iterator[str]:
    """Yield exercises of both kinds without end, with a real document among every three."""
    rng, real = Random(seed), documents(seed)
    while True:
        kind = rng.random()
        yield exercise(rng) if kind < 0.25 else repetition(rng) if kind < 0.67 else next(real)
