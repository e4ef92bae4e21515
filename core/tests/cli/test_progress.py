"""Progress on a terminal, elsewhere, and when quiet."""

import io
import re

import pytest

from ollamax.cli.progress import format_size, progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def lines(total, steps, **options):
    """What is printed for ``steps`` of (seconds, bytes, detail)."""
    stream, clock = io.StringIO(), Clock()
    with progress("converting", total, stream=stream, clock=clock, **options) as shown:
        for seconds, amount, detail in steps:
            clock.now += seconds
            shown.update(amount, detail)
    return stream.getvalue().splitlines()


def reached(steps):
    """What is printed for ``steps`` of (seconds, bytes done, bytes in all)."""
    stream, clock = io.StringIO(), Clock()
    with progress("loading", stream=stream, clock=clock) as shown:
        for seconds, done, total in steps:
            clock.now += seconds
            shown.reach(done, total)
    return stream.getvalue().splitlines()


def test_plain_lines_come_after_two_seconds_and_a_tenth_of_the_whole():
    steps = [(1.0, 10, "a"), (1.0, 10, "b"), (1.0, 10, "c"), (1.0, 10, ""), (0.5, 60, "e")]
    assert lines(100, steps) == [
        "converting: 20 % (20 B of 100 B), b",
        "converting: 40 % (40 B of 100 B)",
        "converting: 100 B in 4.5 s",
    ]


def test_slow_work_shows_a_sign_of_life_every_half_minute():
    assert lines(1000, [(20.0, 1, "a"), (15.0, 1, "b"), (15.0, 1, "c")]) == [
        "converting: 0 % (2 B of 1.0 kB), b",
        "converting: 3 B in 50.0 s",
    ]


def test_work_of_no_bytes_is_no_error():
    assert lines(0, [(3.0, 0, "")]) == ["converting: 0 % (0 B of 0 B)", "converting: 0 B in 3.0 s"]


def test_nothing_is_printed_when_quiet():
    assert lines(100, [(5.0, 50, "a")], quiet=True) == []


def test_a_total_that_is_learnt_on_the_way_is_shown_when_it_takes_long():
    """As when a model is loaded: quick work says nothing, slow work as much as any other."""
    assert reached([(0.5, 50, 100), (0.5, 100, 100)]) == []
    assert reached([(2.0, 50, 100), (1.0, 100, 100)]) == ["loading: 50 % (50 B of 100 B)", "loading: 100 B in 3.0 s"]


def test_a_failure_passes_through_without_a_last_line():
    stream = io.StringIO()
    with pytest.raises(OSError, match="disk"), progress("converting", 10, stream=stream):
        raise OSError("disk")
    assert stream.getvalue() == ""


def test_a_terminal_shows_a_bar_with_the_detail_and_clears_it(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    with progress("converting [1]", 2_000_000, stream=stream) as shown:
        shown.update(1_000_000, "blk[0].weight")
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert "converting [1]" in text
    assert "blk[0].weight" in text
    assert "1.0/2.0 MB" in text
    assert stream.getvalue().endswith("\x1b[2K")


def test_a_terminal_shows_a_spinner_without_a_total(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with progress("loading demo", stream=stream):
        pass
    assert "loading demo" in stream.getvalue()
    assert "MB" not in stream.getvalue()


def test_a_terminal_shows_a_bar_once_the_total_is_known(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    with progress("loading demo", stream=stream) as shown:
        shown.reach(500_000, 2_000_000)
        shown.reach(1_000_000, 2_000_000)
    assert "1.0/2.0 MB" in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())


def test_a_narrow_terminal_gets_one_line(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "50")
    stream = Terminal()
    with progress("converting /a/long/path/to/a/model", 2_000_000, stream=stream) as shown:
        shown.update(1_000_000, "blk.0.attn_output.weight")
    frames = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue()).split("\r")
    assert all("\n" not in frame.rstrip("\n") for frame in frames)


def test_a_dumb_terminal_gets_plain_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    with progress("converting", 10, stream=stream, clock=Clock()) as shown:
        shown.update(10)
    assert stream.getvalue() == "converting: 10 B in 0.0 s\n"


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (99_499, "99.5 kB"), (123_456, "123 kB"), (999_600, "1.0 MB"),
     (3_400_000_000, "3.4 GB"), (5.2e12, "5.2 TB")],
)  # fmt: skip
def test_sizes(size, text):
    assert format_size(size) == text
