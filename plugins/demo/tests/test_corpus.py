"""The generator of the demo model's training text: what it makes up is deterministic and well-formed."""

from __future__ import annotations

import importlib
import re
import sys
from itertools import islice
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest

TRAIN = Path(__file__).parents[1] / "train"
COUNT = 400


def load(name: str) -> ModuleType:
    """Import a module of the training folder, which is no package and on nobody's path."""
    sys.path.insert(0, str(TRAIN))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(TRAIN))


corpus, grammar, nouns, plots, story, talk = map(load, ("corpus", "grammar", "nouns", "plots", "story", "talk"))


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return list(islice(corpus.documents(11), COUNT)) + list(islice(corpus.documents(11, True), COUNT // 20))


def pieces(text: str) -> list[str]:
    """Cut a document at its special tokens."""
    return [part for part in re.split(r"<\|\w+\|>", text) if part]


def test_a_seed_makes_the_same_text() -> None:
    first, again, other = (list(islice(corpus.documents(seed), 20)) for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_every_slot_and_alternative_is_filled(texts: list[str]) -> None:
    for text in texts:
        for part in pieces(text):
            assert not re.search(r"[{}\[\]|]|STORY|SUBJECT", part), part


def test_articles_agree(texts: list[str]) -> None:
    for text in texts:
        for article, word in re.findall(r"\b([Aa]n?) (\w+)", text):
            assert article.lower() == grammar.article(word), f"{article} {word}"


@pytest.mark.parametrize(
    ("word", "article"), [("owl", "an"), ("fox", "a"), ("unicorn", "a"), ("hourglass", "an"), ("umbrella", "an")]
)
def test_article(word: str, article: str) -> None:
    assert grammar.article(word) == article


@pytest.mark.parametrize(
    ("noun", "many"),
    [
        ("fox", "foxes"),
        ("mouse", "mice"),
        ("fairy", "fairies"),
        ("donkey", "donkeys"),
        ("elf", "elves"),
        ("calf", "calves"),
    ],
)
def test_plural(noun: str, many: str) -> None:
    assert grammar.plural(noun) == many


def test_quotes_close_and_hold_sentences(texts: list[str]) -> None:
    for text in texts:
        for paragraph in "\n\n".join(pieces(text)).split("\n\n"):
            parts = paragraph.split('"')
            assert len(parts) % 2 == 1, paragraph
            for before, spoken in zip(parts[::2], parts[1::2], strict=False):
                assert spoken[:1].isupper() or before.endswith(", "), paragraph
                assert spoken[-1:] in ".,!?", paragraph


def test_sentences_open_with_capitals_and_end(texts: list[str]) -> None:
    for text in texts:
        for part in re.findall(r"(?:<\|assistant\|>|^<\|begin_of_text\|>(?=[^<]))([^<]+)", text):
            for paragraph in part.split("\n\n"):
                assert paragraph[0].isupper() or paragraph[0] == '"', paragraph
                assert paragraph[-1] in '.!?"', paragraph
                assert not re.search(r"[.!?] [a-z]|  | [.,!?]|[.!?,]\"?[.,!?]", paragraph), paragraph


@pytest.mark.parametrize("plot", plots.plots(), ids=lambda plot: plot.name)
def test_a_plot_keeps_to_its_wish(plot: Any) -> None:
    rng = Random(3)
    for _ in range(20):
        wish = story.Wish(noun="fox", name="Zorple", plot=plot.name)
        wish.friend = "owl" if plot.uses("new_friend") or plot.uses("fintro") else ""
        wish.item = "lantern" if plot.uses("item") or plot.uses("a_item") else ""
        wish.food = "plums" if plot.uses("food") else ""
        told = story.tell(wish, rng).text
        for word in ("fox", "Zorple", wish.friend, wish.item, wish.food):
            assert word in told
        assert 80 < len(told.split()) < 420


def test_any_hero_gets_a_story() -> None:
    rng = Random(4)
    for noun in (*nouns.ANIMALS, *nouns.SWIMMERS, *nouns.BOATS, *nouns.FLYERS, *nouns.TOYS, *nouns.MEN, "zorple"):
        told = story.tell(story.Wish(noun=noun), rng)
        assert noun in told.text
        assert told.hero.name in told.text


def test_a_wish_that_no_plot_grants_is_an_error() -> None:
    with pytest.raises(ValueError, match="no plot"):
        story.tell(story.Wish(plot="nonsense"), Random(0))


def test_conversations_are_well_formed(texts: list[str]) -> None:
    turn = r"<\|user\|>[^<]+<\|end\|><\|assistant\|>[^<]+<\|end\|>"
    whole = rf"<\|begin_of_text\|>(?:[^<]+<\|end_of_text\|>|(?:<\|system\|>[^<]+<\|end\|>)?(?:{turn})+)"
    for text in texts:
        assert re.fullmatch(whole, text), text


def test_the_model_knows_its_name() -> None:
    answers = [answer for _, answer in talk.ABOUT_ME]
    assert any("small demo model that ships with ollamax" in answer for answer in answers)
