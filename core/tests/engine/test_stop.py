"""Stop texts against a definition that looks at the whole text, however the stream is cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamax.engine.stop import StopMatcher
from ollamax.errors import OptionError


def definition(text, stops):
    """The answer: cut at the first character that completes a stop, where the longest such stop begins."""
    for end in range(1, len(text) + 1):
        completed = [stop for stop in stops if text[:end].endswith(stop)]
        if completed:
            return text[: end - max(map(len, completed))], True
    return text, False


def stream(pieces, stops):
    """What a matcher emits for ``pieces``, piece by piece, and whether it stopped."""
    matcher = StopMatcher(stops)
    emitted = []
    for piece in pieces:
        text, stopped = matcher.push(piece)
        emitted.append(text)
        if stopped:
            break
    emitted.append(matcher.finish())
    return emitted, matcher.stopped


letters = st.text("ab", max_size=40)
stop_lists = st.lists(st.text("ab", min_size=1, max_size=6), max_size=4)


@st.composite
def cut_texts(draw):
    """A text and a random way to cut it into pieces, some of them empty."""
    text = draw(letters)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
    bounds = [0, *cuts, len(text)]
    return text, [text[a:b] for a, b in pairwise(bounds)]


@given(cut_texts(), stop_lists)
def test_streaming_equals_the_definition_however_the_text_is_cut(cut, stops):
    text, pieces = cut
    emitted, stopped = stream(pieces, stops)
    assert ("".join(emitted), stopped) == definition(text, stops)


@given(cut_texts(), stop_lists)
def test_no_more_is_held_back_than_may_become_a_stop(cut, stops):
    _, pieces = cut
    matcher = StopMatcher(stops)
    pushed = emitted = ""
    for piece in pieces:
        text, stopped = matcher.push(piece)
        pushed, emitted = pushed + piece, emitted + text
        if stopped:
            return
        held = pushed[len(emitted) :]
        assert held == "" or any(stop.startswith(held) for stop in stops)


def test_a_stop_across_pieces_is_never_shown():
    assert stream(["Hello <", "|en", "d|> more"], ["<|end|>"]) == (["Hello ", "", "", ""], True)


def test_a_beginning_that_leads_nowhere_is_shown_late():
    assert stream(["a<|", "x"], ["<|end|>"]) == (["a", "<|x", ""], False)


def test_finish_gives_what_was_held_back():
    assert stream(["a<|"], ["<|end|>"]) == (["a", "<|"], False)


def test_the_first_completed_stop_wins_and_the_longer_of_two_that_end_together():
    assert stream(["xabcd"], ["abcd", "bc"]) == (["xa", ""], True)
    assert stream(["xabc"], ["bc", "abc"]) == (["x", ""], True)


def test_after_the_end_nothing_more_comes():
    matcher = StopMatcher(["."])
    assert matcher.push("a.b") == ("a", True)
    assert matcher.push("c") == ("", True)
    assert matcher.finish() == ""


def test_without_stops_everything_passes_at_once():
    assert stream(["a", "", "b"], []) == (["a", "", "b", ""], False)


def test_an_empty_stop_is_refused():
    with pytest.raises(OptionError, match="must not be empty"):
        StopMatcher(["a", ""])
