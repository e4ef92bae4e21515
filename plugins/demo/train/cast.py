"""Who and what is in a story: heroes, friends, things and places that fit each other."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import nouns


@dataclass(frozen=True)
class Group:
    """What a kind of hero has in common: its nouns, how it moves, where it lives."""

    nouns: tuple[str, ...]
    moves: tuple[str, ...]
    homes: tuple[str, ...]
    places: tuple[str, ...]
    weight: int


_HOUSES = ("a small house", "a little cottage", "a house with a red door", "a cozy house", "an old house")
_DENS = ("a cozy den", "a warm burrow", "a hollow tree", "a little house", "a small den", "a snug hole")
_LAIRS = ("a cave", "an old castle", *_HOUSES)
_CLOUDS = ("a soft white cloud", "a little house of clouds")
_SHEDS = ("a big shed", "an old garage", "a warm workshop", "a little shed")
_REEDS = ("a little cave", "a house of shells", "an old pot", "a garden of seaweed", "a hole in a rock")

GROUPS = {
    "animal": Group(nouns.ANIMALS, ("walked", "ran", "went", "hurried"), _DENS, nouns.LAND, 34),
    "bird": Group(nouns.BIRDS, ("flew", "went"), ("a nest", "a tall tree", "a little house"), nouns.LAND, 10),
    "fish": Group(nouns.SWIMMERS, ("swam", "went", "swam"), _REEDS, nouns.WATER, 8),
    "boat": Group(nouns.BOATS, ("sailed", "floated"), ("a little harbor", "a small bay"), nouns.SHORE, 3),
    "man": Group(nouns.MEN, ("walked", "went", "ran"), _HOUSES, nouns.TOWN, 8),
    "woman": Group(nouns.WOMEN, ("walked", "went", "ran"), _HOUSES, nouns.TOWN, 9),
    "person": Group(nouns.PEOPLE, ("walked", "went", "hurried"), _HOUSES, nouns.TOWN, 9),
    "creature": Group(nouns.CREATURES, ("walked", "went", "hurried"), _LAIRS, nouns.LAND, 10),
    "machine": Group(nouns.MACHINES, ("rolled", "drove", "went"), _SHEDS, nouns.TOWN, 5),
    "sky": Group(nouns.FLYERS, ("floated", "drifted", "went"), _CLOUDS, nouns.SKY, 4),
    "toy": Group(nouns.TOYS, ("walked", "went", "hurried"), _HOUSES, nouns.TOWN, 5),
}  # fmt: skip
_OF = {noun: key for key, group in GROUPS.items() for noun in group.nouns}

SPOTS = {
    "dry": ("in the tall grass", "under a bush", "behind a big rock", "next to an old tree", "under a pile of leaves",
            "behind the fence", "by the old well", "between two stones", "beside the path", "under a bench",
            "behind a wall", "under the bridge", "behind a tree", "next to a hollow log", "by the gate",
            "behind a haystack", "under a big mushroom", "at the foot of a tree"),
    "fish": ("under the seaweed", "behind a big rock", "inside an old pot", "in the sand", "under a shell",
             "behind the coral", "between two stones", "in an old shipwreck"),
    "sky": ("behind a cloud", "on a rooftop", "at the top of a tall tree", "next to a tower", "on top of a hill"),
}  # fmt: skip


@dataclass(frozen=True)
class Character:
    """Somebody in a story."""

    noun: str
    name: str
    adjective: str
    pronouns: tuple[str, str, str, str]
    group: str


_HE = ("he", "him", "his", "himself")
_SHE = ("she", "her", "her", "herself")
_IT = ("it", "it", "its", "itself")


def group_of(noun: str) -> str:
    """Return the group of `noun`; what is unknown is taken for an animal, which fits the most plots."""
    return _OF.get(noun, "animal")


def human(noun: str) -> bool:
    """Whether `noun` is a person, whom colours and the like do not suit."""
    return group_of(noun) in ("man", "woman", "person")


def invented(rng: Random) -> str:
    """Make up a word of one to three syllables."""
    draw = rng.choice
    head = "".join(draw(nouns.ONSETS) + draw(nouns.VOWELS) for _ in range(draw((0, 0, 0, 1, 1, 2))))
    return head + (draw(nouns.ONSETS) or "n") + draw(nouns.VOWELS) + draw(nouns.CODAS)


def some_noun(rng: Random, groups: tuple[str, ...] = ()) -> str:
    """Draw a noun that can be a hero, out of `groups` if they are given."""
    if not groups and rng.random() < 0.18:
        return rng.choice(nouns.COMMON)
    if not groups and rng.random() < 0.1:
        return invented(rng)
    keys = groups or tuple(GROUPS)
    return rng.choice(GROUPS[rng.choices(keys, [GROUPS[key].weight for key in keys])[0]].nouns)


def character(
    rng: Random, noun: str, adjectives: tuple[str, ...], name: str = "", adjective: str = "", half: int = 0
) -> Character:
    """Give a noun a name, an adjective and pronouns that go together.

    Heroes and friends have their names from different halves of the lists: a small model that always takes the
    likeliest name would else give both the same.
    """
    group = group_of(noun)
    if name:
        male, female = name in nouns.HE_NAMES, name in nouns.SHE_NAMES
    else:
        male, female = False, False
    if group in ("man", "woman"):
        pronouns = _HE if group == "man" else _SHE
    elif noun in ("cow", "hen") or (female and not male):
        pronouns = _SHE
    elif noun in ("rooster", "bull") or male:
        pronouns = _HE
    elif group in ("boat", "machine", "sky", "toy") and rng.random() < 0.6:
        pronouns = _IT
    else:
        pronouns = rng.choice((_HE, _SHE))
    own = {"he": nouns.HE_NAMES, "she": nouns.SHE_NAMES, "it": nouns.ANY_NAMES}[pronouns[0]]
    if not name:
        pool = nouns.ANY_NAMES if group not in ("man", "woman", "person") and rng.random() < 0.3 else own
        name = invented(rng).capitalize() if rng.random() < 0.06 else rng.choice(pool[half::2])
    return Character(noun, name, adjective or rng.choice(adjectives), pronouns, group)


def friend_groups(group: str) -> tuple[str, ...]:
    """Return the groups whose members may meet a hero of `group`."""
    if group == "fish":
        return ("fish",)
    if group == "sky":
        return ("bird",)
    if group == "boat":
        return ("fish", "bird")
    if group in ("man", "woman", "person"):
        return ("man", "woman", "person", "animal")
    return ("animal", "bird", "person", "creature", "animal")
