"""Answers on a terminal: wrapped at words, without control characters; elsewhere unchanged."""

import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamax.cli.duration import format_duration
from ollamax.cli.printer import Printer


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def width(monkeypatch):
    def set_width(columns):
        monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((columns, 24)))

    set_width(20)
    return set_width


def printed(*pieces, stream=None, wrap=True):
    stream = stream or Terminal()
    printer = Printer(stream, wrap)
    for piece in pieces:
        printer.write(piece)
    printer.finish()
    return stream.getvalue()


def test_a_word_without_room_begins_a_line(width):
    assert printed("The quick brown fox jumps over") == "The quick brown fox \njumps over\n"


def test_words_may_come_in_pieces(width):
    assert printed("The quick bro", "wn fox ju", "mps") == "The quick brown fox \njumps\n"


def test_a_full_line_is_followed_by_the_next_without_an_empty_one(width):
    assert printed("a" * 10 + " " + "b" * 9 + " " + "c") == "aaaaaaaaaa bbbbbbbbb\nc\n"


def test_a_word_longer_than_a_line_is_broken(width):
    assert printed("x" * 45) == "x" * 20 + "\n" + "x" * 20 + "\n" + "x" * 5 + "\n"


def test_wide_characters_count_twice_and_break_anywhere(width):
    assert printed("語" * 12) == "語" * 10 + "\n" + "語" * 2 + "\n"


def test_lines_of_the_text_are_kept(width):
    assert printed("a\n\n  b\n") == "a\n\n  b\n"


@given(st.lists(st.text("ab \n", max_size=15), max_size=8))
def test_wrapping_changes_only_blanks_at_line_ends(pieces):
    """Apart from where lines end, what is shown is what was said, and no line is too wide."""
    stream = Terminal()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((12, 24)))
        shown = printed(*pieces, stream=stream)
    text = "".join(pieces)
    assert all(len(line) <= 12 for line in shown.split("\n"))
    assert "".join(shown.split()) == "".join(text.split())
    if all(len(word) < 12 for word in text.split()):
        assert shown.split() == text.split()


def test_words_appear_as_soon_as_they_are_whole(width):
    stream = Terminal()
    printer = Printer(stream)
    printer.write("one two")
    assert stream.getvalue() == "one "
    printer.write(" ")
    assert stream.getvalue() == "one two "


def test_control_characters_do_not_reach_a_terminal(width):
    text = "a\x1b]0;title\x07b\x9b31m\r\n\tc\x7f"
    shown = "a\ufffd]0;title\ufffdb\ufffd31m\n\tc\ufffd\n"
    assert printed(text, wrap=False) == shown
    assert printed(text) == shown


def test_a_pipe_gets_the_text_as_it_is(width):
    text = "a\x1b[1m " + "b" * 50 + "\r\n"
    assert printed(text, stream=io.StringIO()) == text


def test_the_line_is_ended_once(width):
    assert printed("a", stream=io.StringIO()) == "a\n"
    assert printed("a\n", "", stream=io.StringIO()) == "a\n"
    assert printed(stream=io.StringIO()) == ""
    assert printed("a\n", wrap=False) == "a\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0µs"), (0.0008125, "812.5µs"), (0.0351, "35.1ms"), (1, "1s"), (1.2034, "1.203s"), (59.9996, "1m0s"),
     (123.5, "2m3.5s"), (3605, "1h0m5s")],
)  # fmt: skip
def test_durations(seconds, text):
    assert format_duration(seconds) == text
