"""Conversations around the stories: greetings, requests in many wordings, and questions about what was told."""

from __future__ import annotations

from random import Random

import nouns
import talk
from cast import human, invented, some_noun
from grammar import capital, plural, render
from plots import plots
from story import Story, Wish, choose, tell

Turn = tuple[str, str]


def _clause(wish: Wish, rng: Random) -> str:
    """Pick a clause such as ``who loses a bell`` of a plot that fits, and pin its story to it."""
    plot = choose(Wish(noun=wish.noun), rng)
    template = rng.choice([text for text in plot.clauses if "in_far" not in text and "in_place" not in text] or [""])
    if not template:
        return ""
    wish.plot = plot.name
    wish.item, wish.food = rng.choice(nouns.ITEMS), rng.choice(nouns.FOODS)
    wish.local = {key: rng.choice(values) for key, values in plot.local.items()}
    wish.friend = wish.friend or rng.choice(nouns.ANIMALS)
    slots = {key: [value] for key, value in wish.local.items()}
    his = "his" if wish.noun in nouns.MEN else "her" if wish.noun in nouns.WOMEN else "its"
    slots |= {"item": [wish.item], "a_item": ["a " + wish.item], "food": [wish.food], "his": [his]}
    slots["a_friend"] = ["a " + wish.friend]
    text = render(template, slots, rng)
    if "{a_friend}" not in template:
        wish.friend = ""
    if "item}" not in template:
        wish.item = ""
    if "{food}" not in template:
        wish.food = ""
    return text[:1].lower() + text[1:]


def _hero(wish: Wish, rng: Random) -> str:
    """Name a hero: ``a fox``, ``a brave fox``, ``a fox named Rusty``, ``my dog`` ..."""
    wish.noun = some_noun(rng)
    roll = rng.random()
    if roll < 0.22:
        wish.adjective = rng.choice(nouns.PEOPLE_ADJECTIVES if human(wish.noun) else nouns.ADJECTIVES)
        return f"a {wish.adjective} {wish.noun}"
    if roll < 0.36:
        pool = nouns.HE_NAMES if wish.noun in nouns.MEN else nouns.SHE_NAMES if wish.noun in nouns.WOMEN else ()
        wish.name = rng.choice(pool or rng.choice((nouns.HE_NAMES, nouns.SHE_NAMES, nouns.ANY_NAMES)))
        if rng.random() < 0.35:
            wish.name = invented(rng).capitalize()
        return f"a {wish.noun} {rng.choice(('named', 'called'))} {wish.name}"
    if roll < 0.40:
        return rng.choice((wish.noun, f"my {wish.noun}", f"the {wish.noun}", f"the {wish.noun}"))
    return f"a {wish.noun}"


def _heroes(wish: Wish, rng: Random) -> str:
    """Name several heroes: ``foxes``, ``two foxes``."""
    wish.noun = some_noun(rng)
    if rng.random() < 0.5:
        return plural(wish.noun)
    wish.friend = wish.noun
    return f"two {plural(wish.noun)}"


def _hero_and(wish: Wish, rng: Random) -> str:
    """Name a hero and something that goes with it: a thing, a friend, a deed or a place."""
    hero, roll = _hero(wish, rng), rng.random()
    if roll < 0.32:
        wish.item = rng.choice(nouns.ITEMS)
        return f"{hero} {rng.choice(('and', 'and', 'with'))} a {wish.item}"
    if roll < 0.50:
        wish.friend = some_noun(rng)
        while wish.friend == wish.noun:
            wish.friend = some_noun(rng)
        return f"{hero} and a {wish.friend}"
    if roll < 0.87:
        return f"{hero} {_clause(wish, rng)}"
    wish.place = rng.choice((*nouns.LAND, *nouns.TOWN))
    return f"{hero} {rng.choice(('', 'who lives '))}{wish.place}"


def subject(wish: Wish, rng: Random) -> str:
    """Draw what a story is to be about; returns the words and notes them in `wish`."""
    kind = rng.choices(("hero", "both", "item", "name", "food", "place", "theme"), (34, 40, 12, 4, 2, 3, 5))[0]
    if kind == "hero":
        return _heroes(wish, rng) if rng.random() < 0.12 else _hero(wish, rng)
    if kind == "both":
        return _hero_and(wish, rng)
    if kind == "item":
        wish.item = rng.choice(nouns.ITEMS)
        return rng.choice((f"a {wish.item}", f"a {wish.item}", f"the {wish.item}", f"my {wish.item}"))
    if kind == "name":
        wish.name = rng.choice(rng.choice((nouns.HE_NAMES, nouns.SHE_NAMES)))
        wish.noun = "boy" if wish.name in nouns.HE_NAMES else "girl"
        return wish.name
    if kind == "food":
        wish.food = rng.choice(nouns.FOODS)
        return wish.food
    if kind == "place":
        wish.place = rng.choice(nouns.LAND)
        return wish.place[wish.place.index("the ") :]
    plot = rng.choice(plots())
    wish.plot = plot.name
    return rng.choice([theme for theme in plot.themes if "{" not in theme])


def request(rng: Random) -> tuple[str, Story]:
    """Ask for a story, and tell it."""
    wish = Wish()
    wish.short = rng.random() < 0.2
    wish.classic = rng.random() < 0.75
    kind = "short story" if wish.short else rng.choice(("story",) * 8 + ("tale", "bedtime story", "little story"))
    if rng.random() < 0.07:
        words = rng.choice(talk.ANY_STORY).replace("STORY", kind)
    else:
        words = rng.choice(talk.REQUESTS).replace("STORY", kind).replace("SUBJECT", subject(wish, rng))
    return careless(render(words, {}, rng), rng), tell(wish, rng)


def careless(text: str, rng: Random) -> str:
    """Type `text` the way people do: without capitals, without the full stop."""
    roll = rng.random()
    if roll < 0.3:
        text = text.rstrip(".")
    if 0.1 < roll < 0.35:
        text = text[:1].lower() + text[1:]
    elif roll > 0.96:
        text = text.lower().rstrip(".!?")
    return text


def _facts(story: Story) -> dict[str, list[str]]:
    slots = dict(story.slots)
    slots["summary"] = ["{" + "summary_text}"]
    slots["summary_text"] = [story.plot.summary]
    slots["moral"] = [story.plot.moral]
    slots["kind_of"] = [f"a {story.hero.adjective} {story.hero.noun}", f"a {story.hero.noun}"]
    return slots


def question(story: Story, rng: Random) -> Turn:
    """Ask something about `story` that its text answers."""
    pool = list(talk.ABOUT_HERO)
    if story.friend:
        pool += talk.ABOUT_FRIEND
    if story.item:
        pool += talk.ABOUT_ITEM
    asked, answers = rng.choice(pool)
    slots = _facts(story)
    return careless(render(asked, slots, rng), rng), render(answers, slots, rng)


def small_talk(pairs: tuple[Turn, ...], rng: Random, name: str = "") -> Turn:
    """Draw one question and its answer out of `pairs`."""
    asked, answer = rng.choice(pairs)
    word, thing = some_noun(rng), rng.choice(nouns.ITEMS)
    slots = {"noun": [word], "nouns": [plural(word)], "item": [thing], "me": [name or "ollamax demo"]}
    slots["who"] = [rng.choice((*nouns.HE_NAMES, *nouns.SHE_NAMES))]
    slots["animal"] = [rng.choice(nouns.ANIMALS)]
    slots["number"], slots["other"] = [str(rng.randint(2, 99))], [str(rng.randint(2, 99))]
    slots["place"] = [rng.choice(talk.COUNTRIES)]
    return careless(render(asked, slots, rng), rng), render(answer, slots, rng)


def _offer(rng: Random) -> list[Turn]:
    """Be asked for the impossible, offer a story, and tell it when the offer is taken."""
    asked, answer = small_talk(talk.CANNOT, rng)
    noun = some_noun(rng)
    answer = render(answer + " " + rng.choice(talk.OFFERS), {"noun": [noun]}, rng)
    turns = [(asked, answer)]
    if rng.random() < 0.6 and noun in answer:
        turns.append((careless(rng.choice(talk.ACCEPT), rng), tell(Wish(noun=noun, classic=True), rng).text))
    return turns


def echo(rng: Random) -> Turn:
    """Ask to have some words repeated: of no great use, but it keeps the model looking words up letter by letter."""
    words = " ".join(
        invented(rng) if rng.random() < 0.7 else rng.choice((*nouns.ITEMS, some_noun(rng)))
        for _ in range(rng.randint(1, 6))
    )
    return f"{rng.choice(('Repeat after me', 'Repeat', 'Please say', 'Say'))}: {words}", f"All right: {words}."


def conversation(rng: Random, long: bool = False) -> tuple[str, list[Turn]]:
    """Make up a conversation; returns the system message (often empty) and the turns."""
    system, name = "", ""
    if rng.random() < 0.3:
        system = rng.choice(talk.SYSTEMS)
        if "{me}" in system:
            name = rng.choice((*nouns.HE_NAMES, *nouns.SHE_NAMES, *nouns.ANY_NAMES))
            system = system.replace("{me}", name)
    turns: list[Turn] = []
    if rng.random() < 0.2:
        turns.append(small_talk(talk.GREETINGS, rng, name))
    if rng.random() < 0.2 or (name and rng.random() < 0.5):
        turns.append(small_talk(talk.ABOUT_ME, rng, name))
    if rng.random() < 0.12:
        turns += _offer(rng)
    if rng.random() < 0.08:
        turns += [echo(rng) for _ in range(rng.randint(1, 4))]
    for count in range(rng.randint(4, 8) if long else 1):
        if not long and turns and rng.random() < 0.25:
            break
        asked, story = request(rng)
        if count and rng.random() < 0.3:
            asked, story = careless(rng.choice(talk.ANOTHER), rng), tell(Wish(classic=True), rng)
        turns.append((asked, story.text))
        while rng.random() < (0.4 if long else 0.3):
            turns.append(question(story, rng))
    if rng.random() < 0.12:
        turns.append(small_talk(talk.CLOSINGS, rng, name))
    return system, [(capital(asked) if rng.random() < 0.5 else asked, answer) for asked, answer in turns]
