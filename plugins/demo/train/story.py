"""Tells a story: draws a plot and a cast that fit a wish, and fills the plot's templates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import nouns
from cast import GROUPS, SPOTS, Character, character, friend_groups, group_of, human, some_noun
from grammar import expand, fill, polish
from plots import Plot, openings, plots


@dataclass
class Wish:
    """What somebody asked a story to be about; what is empty is drawn by chance."""

    noun: str = ""
    name: str = ""
    adjective: str = ""
    friend: str = ""
    item: str = ""
    food: str = ""
    place: str = ""
    plot: str = ""
    local: dict[str, str] = field(default_factory=dict)
    short: bool = False
    classic: bool = False


@dataclass(frozen=True)
class Story:
    """A finished story and what a reader may ask about it."""

    text: str
    hero: Character
    friend: Character | None
    item: str
    place: str
    plot: Plot
    slots: dict[str, list[str]]


def _fits(plot: Plot, wish: Wish) -> bool:
    if wish.plot and plot.name != wish.plot:
        return False
    if wish.noun and group_of(wish.noun) in plot.bars:
        return False
    if wish.item and not (plot.uses("item") or plot.uses("a_item")):
        return False
    if wish.food and not plot.uses("food"):
        return False
    return not wish.friend or plot.uses("new_friend") or plot.uses("fintro")


def choose(wish: Wish, rng: Random) -> Plot:
    """Draw a plot that can grant `wish`."""
    fitting = [plot for plot in plots() if _fits(plot, wish)]
    if not fitting:
        raise ValueError(f"no plot can grant {wish}")
    return rng.choice(fitting)


def _place(wish: Wish, group: str, rng: Random) -> str:
    place = wish.place or rng.choice(GROUPS[group].places)
    watery = (group == "fish") != (group_of(wish.friend) == "fish") if wish.friend else False
    if watery and not wish.place:
        place = rng.choice(nouns.SHORE)
    if not wish.place and place.count(" ") == 2 and rng.random() < 0.4:
        head, last = place.rsplit(" ", 1)
        place = f"{head} {rng.choice(nouns.PLACE_ADJECTIVES)} {last}"
    return place


def towards(place: str) -> str:
    """Return where one goes to be at `place`: ``in the sea`` gives ``to the sea``."""
    return "to " + place[place.index("the ") :]


def _people(slots: dict[str, list[str]], hero: Character, friend: Character) -> None:
    slots["hero"] = [f"the {hero.noun}", f"the {hero.noun}", f"the {hero.adjective} {hero.noun}"]
    slots["friend"] = [f"the {friend.noun}"]
    if hero.noun == friend.noun:
        slots["hero"], slots["friend"] = [hero.name], [friend.name]
    slots["adj"], slots["noun"], slots["name"] = [hero.adjective], [hero.noun], [hero.name]
    slots["fname"], slots["fnoun"], slots["fadj"] = [friend.name], [friend.noun], [friend.adjective]
    for key, own, other in zip(("he", "him", "his", "himself"), hero.pronouns, friend.pronouns, strict=True):
        slots[key], slots["f" + key] = [own], [other]
    slots["his_f"] = [friend.pronouns[2]]
    slots["new_friend"] = [
        f"a {friend.adjective} {friend.noun} named {friend.name}",
        f"a {friend.noun} named {friend.name}",
        f"{friend.name} the {friend.noun}",
    ]
    slots["fintro"] = [f"{friend.name} the {friend.noun}", f"a {friend.noun} named {friend.name}"]
    slots["a_friend"] = [f"a {friend.noun}"]


def _others(slots: dict[str, list[str]], taken: set[str], group: str, rng: Random) -> None:
    for number in ("1", "2"):
        noun = some_noun(rng, friend_groups(group))
        while noun in taken:
            noun = some_noun(rng, friend_groups(group))
        taken.add(noun)
        slots["other" + number] = [
            f"a {noun}",
            f"a {noun}",
            f"a {rng.choice(nouns.FRIEND_ADJECTIVES)} {noun}",
        ]
        slots["the_other" + number] = [f"the {noun}"]
    slots["his_o"] = [rng.choice(("his", "her")) if group_of(noun) != "woman" else "her"]


def _things(slots: dict[str, list[str]], wish: Wish, group: str, rng: Random) -> str:
    item = wish.item or rng.choice(nouns.ITEMS)
    plain = rng.random() < 0.3 or item.startswith(nouns.ITEM_ADJECTIVES)
    looks = [item] if plain else [f"{rng.choice(nouns.ITEM_ADJECTIVES)} {item}"]
    slots["item"], slots["a_item"] = [item], ["a " + looks[0]]
    slots["plain_item"] = ["a " + item]
    slots["food"] = [wish.food or rng.choice(nouns.FOODS)]
    slots["day"] = [
        "[one|one sunny|one fine|one cold|one warm] [morning|day|afternoon]",
        "one day",
        "one day",
    ]
    spots = rng.sample(SPOTS.get(group, SPOTS["dry"]), 4)
    for number, spot in enumerate(spots, 1):
        slots[f"spot{number}"] = [spot]
    return item


def _where(slots: dict[str, list[str]], place: str, group: str, rng: Random) -> None:
    far = rng.choice([other for other in GROUPS[group].places if other.split()[-1] != place.rsplit(maxsplit=1)[-1]])
    slots["in_place"], slots["to_place"] = [place], [towards(place)]
    slots["in_far"], slots["to_far"] = [far], [towards(far)]
    slots["went"] = list(GROUPS[group].moves)
    slots["home"] = [rng.choice(GROUPS[group].homes)]


def _vary(beat: str, known: set[str], rng: Random) -> str:
    """Now and then call somebody ``the fox`` for a name, in narration only and only once they were named."""
    parts = beat.split('"')
    for slot, other in (("name", "hero"), ("fname", "friend")):
        for form, called in ((slot, other), (slot.capitalize(), other.capitalize())):
            mark = "{" + form + "}"
            if slot in known and mark in parts[0] and rng.random() < 0.18:
                parts[0] = parts[0].replace(mark, "{" + called + "}", 1)
                break
        if any(key in beat for key in ("{new_friend}", "{fintro}")):
            known.add("fname")
    return '"'.join(parts)


def _beats(plot: Plot, wish: Wish, rng: Random) -> list[str]:
    kept: list[str] = []
    for beat in plot.beats:
        if beat.startswith("? ") and (wish.short or rng.random() < 0.4):
            continue
        kept.append(beat.removeprefix("? "))
    return kept


def _text(opening: str, beats: list[str], finish: Callable[[str], str], rng: Random) -> str:
    paragraphs: list[list[str]] = [[finish(opening)]]
    known = {"name"}
    for beat in beats:
        if not beat:
            paragraphs.append([])
            continue
        sentence = finish(_vary(expand(beat, rng), known, rng))
        paragraphs[-1].append(sentence if sentence[-1] in '.!?"' else sentence + ".")
    return "\n\n".join(" ".join(paragraph) for paragraph in paragraphs if paragraph)


def tell(wish: Wish, rng: Random) -> Story:
    """Tell the story that `wish` asks for."""
    plot = choose(wish, rng)
    noun = wish.noun
    while not noun or (not wish.noun and (group_of(noun) in plot.bars or noun == wish.friend)):
        noun = some_noun(rng)
    hero = character(rng, noun, nouns.PEOPLE_ADJECTIVES if human(noun) else nouns.ADJECTIVES, wish.name, wish.adjective)
    other = wish.friend or some_noun(rng, friend_groups(hero.group))
    while other == noun and not wish.friend:
        other = some_noun(rng, friend_groups(hero.group))
    friend = character(rng, other, nouns.FRIEND_ADJECTIVES, half=1)
    while friend.name == hero.name:
        friend = character(rng, other, nouns.FRIEND_ADJECTIVES, half=1)
    slots: dict[str, list[str]] = {}
    _people(slots, hero, friend)
    _others(slots, {noun, other}, hero.group, rng)
    item = _things(slots, wish, hero.group, rng)
    place = _place(wish, hero.group, rng)
    _where(slots, place, hero.group, rng)
    for key, values in plot.local.items():
        slots[key] = [wish.local.get(key) or rng.choice(values)]
    first = openings()[: 7 if wish.classic else None]
    text = _text(rng.choice(first), _beats(plot, wish, rng), lambda part: polish(fill(part, slots, rng)), rng)
    met = plot.uses("new_friend") or plot.uses("fintro")
    owned = plot.uses("item") or plot.uses("a_item")
    return Story(text, hero, friend if met else None, item if owned else "", place, plot, slots)
