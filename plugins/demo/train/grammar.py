"""The small grammar the stories are written in: alternatives, slots, articles and capitals.

A template is a sentence such as ``[One day|That morning], {hero} {went} to {place}.``  Square brackets hold
alternatives (they nest), braces hold slots, and a slot written with a capital, ``{He}``, capitalises its value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from random import Random

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+)\}")
_ARTICLE = re.compile(r"\b([Aa]) (?=(\w+))")
_SENTENCE = re.compile(r"(^|[.!?] |\n)([a-z])")

# Spelt with a vowel but spoken with a consonant, and the other way round.
_SPOKEN_CONSONANT = ("uni", "use", "one", "once", "eu", "uku", "ute")
_SPOKEN_VOWEL = ("hour", "honest", "heir")

Slots = Mapping[str, Sequence[str]]


def article(word: str) -> str:
    """Return ``a`` or ``an``, whichever is spoken before `word`."""
    low = word.lower()
    if low.startswith(_SPOKEN_VOWEL):
        return "an"
    return "an" if low[:1] in "aeiou" and not low.startswith(_SPOKEN_CONSONANT) else "a"


def capital(text: str) -> str:
    """Capitalise the first letter and leave the rest alone."""
    return text[:1].upper() + text[1:]


def plural(noun: str) -> str:
    """Return the plural of `noun`, for requests such as ``a story about foxes``."""
    head, _, last = noun.rpartition(" ")
    irregular = {
        "mouse": "mice", "goose": "geese", "wolf": "wolves", "sheep": "sheep", "deer": "deer", "fish": "fish",
        "calf": "calves", "elf": "elves", "child": "children", "moose": "moose", "ox": "oxen", "thief": "thieves",
        "fisherman": "fishermen", "man": "men", "woman": "women",
        "snowman": "snowmen", "scarf": "scarves", "knife": "knives", "leaf": "leaves",
    }  # fmt: skip
    if last in irregular:
        many = irregular[last]
    elif last.endswith(("s", "x", "ch", "sh", "z")):
        many = last + "es"
    elif last.endswith("y") and last[-2:-1] not in "aeiou":
        many = last[:-1] + "ies"
    else:
        many = last + "s"
    return f"{head} {many}".strip()


def expand(template: str, rng: Random) -> str:
    """Choose among the bracketed alternatives of `template`, innermost first."""
    while match := _CHOICE.search(template):
        chosen = rng.choice(match.group(1).split("|"))
        template = template[: match.start()] + chosen + template[match.end() :]
    return template


def fill(template: str, slots: Slots, rng: Random) -> str:
    """Replace each slot of `template`; a slot's value may hold alternatives and further slots."""
    while match := _SLOT.search(template):
        key = match.group(1)
        value = rng.choice(slots[key[0].lower() + key[1:]])
        value = capital(value) if key[0].isupper() else value
        template = expand(template[: match.start()] + value + template[match.end() :], rng)
    return template


def polish(text: str) -> str:
    """Fix articles, spaces and the capitals that open sentences."""
    text = re.sub(r"([!?]\"?)[,.]+", r"\1", text)
    text = re.sub(r" +([.,!?])", r"\1", re.sub(r"[ \t]+", " ", text)).strip()

    def fixed(match: re.Match[str]) -> str:
        return match.group(1) + article(match.group(2))[1:] + " "

    text = _ARTICLE.sub(fixed, text)
    return _SENTENCE.sub(lambda match: match.group(1) + match.group(2).upper(), text)


def render(template: str, slots: Slots, rng: Random) -> str:
    """Turn a template into a finished sentence or two."""
    return polish(fill(expand(template, rng), slots, rng))
