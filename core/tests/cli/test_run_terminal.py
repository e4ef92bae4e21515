"""``ollamax run`` on a real (pseudo) terminal: typing, Ctrl-C, Ctrl-D, history."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pty = pytest.importorskip("pty", reason="pseudo terminals are a Unix thing")

SCRIPT = Path(__file__).with_name("echo_model.py")
PATIENCE = 120.0  # seconds for what takes less than one: only a hang should fail


class Terminal:
    """A process on a pseudo terminal; ``expect`` reads until a pattern has come."""

    def __init__(self, *arguments, home, stdout=None, **environment):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, SCRIPT, *arguments],
            stdin=slave,
            stdout=slave if stdout is None else stdout,
            stderr=slave,
            env={**os.environ, "HOME": str(home), "TERM": "xterm", "COLUMNS": "80", **environment},
            start_new_session=True,
            # The terminal must be the controlling one for Ctrl-C to become a signal.
            preexec_fn=_take_terminal,  # noqa: PLW1509
        )
        os.close(slave)
        self.text = ""

    def type(self, text):
        os.write(self.master, text.encode())

    def expect(self, pattern):
        """Read until ``pattern`` matches, and return what came up to its end."""
        assert self._await(pattern, PATIENCE), f"{pattern!r} did not come; got {self.text!r}"
        return self._take(pattern)

    def interrupt(self, pattern):
        """Press Ctrl-C at a prompt and ``expect``, and once more where nothing follows.

        CPython's readline loop looks at signals only when one ends its wait for a key: a Ctrl-C that comes right
        before that wait, within microseconds of the key before it, shows at the next one.
        """
        deadline = time.monotonic() + PATIENCE
        self.type("\x03")
        while not self._await(pattern, 2.0) and time.monotonic() < deadline:
            self.type("\x03")
        return self.expect(pattern)

    def _await(self, pattern, seconds):
        deadline = time.monotonic() + seconds
        while not re.search(pattern, self.text, re.DOTALL):
            left = deadline - time.monotonic()
            if not select.select([self.master], [], [], max(left, 0))[0]:
                return False
            self._read()
        return True

    def _take(self, pattern):
        match = re.search(pattern, self.text, re.DOTALL)
        shown, self.text = self.text[: match.end()], self.text[match.end() :]
        return shown

    def end(self):
        """Wait for the end of the process; returns its exit status, and what it printed is in ``text``."""
        status = self.process.wait(PATIENCE)
        while select.select([self.master], [], [], 0.1)[0] and self._read():
            pass
        return status

    def _read(self):
        try:
            data = os.read(self.master, 65536)
        except OSError:  # Linux says so when the other end is closed
            return False
        self.text += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", data.decode(errors="replace")).replace("\r\n", "\n")
        return bool(data)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)


def _take_terminal():
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def terminal(tmp_path):
    opened = []

    def start(*arguments, **environment):
        opened.append(Terminal(*arguments, home=tmp_path, **environment))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def test_a_session_answers_and_ends_with_bye(terminal):
    session = terminal("run", "echo")
    session.expect(">>> ")
    session.type("hello there\n")
    assert "[1] hello there \n" in session.expect(r"\n\n>>> ")
    session.type("again\n")
    assert "[3] again" in session.expect(r"\n\n>>> ")
    session.type("/bye\n")
    assert session.end() == 0
    assert "closed" in session.text


def test_ctrl_d_ends_the_session(terminal):
    session = terminal("run", "echo")
    session.expect(">>> ")
    session.type("\x04")
    assert session.end() == 0


def test_triple_quotes_on_a_terminal(terminal):
    session = terminal("run", "echo")
    session.expect(">>> ")
    session.type('"""one\n')
    session.expect(r"\.\.\. ")
    session.type('two"""\n')
    assert "[1] one / two" in session.expect(r"\n\n>>> ")


def test_ctrl_c_stops_the_answer_and_gives_the_prompt_back(terminal):
    session = terminal("run", "echo")
    session.expect(">>> ")
    session.type("forever\n")
    session.expect("and on and on")
    session.type("\x03")
    assert session.expect(r"\n\n>>> ").count("Error") == 0
    session.type("next\n")
    assert "[3] next" in session.expect(r"\n\n>>> ")


def test_ctrl_c_before_the_first_word_gives_the_prompt_back(terminal):
    session = terminal("run", "echo")
    session.expect(">>> ")
    session.type("silence\n")
    session.expect("not a word yet")
    session.type("\x03")
    session.expect(r">>> ")
    session.type("next\n")
    assert "[1] next" in session.expect(r"\n\n>>> ")


def test_ctrl_c_at_the_prompt_says_how_to_leave(terminal):
    session = terminal("run", "echo")
    session.expect(">>> ")
    session.type("half a line")
    session.expect("half a line")
    assert "Use Ctrl-D or /bye to exit." in session.interrupt(">>> ")
    session.type("x\n")
    assert "[1] x" in session.expect(r"\n\n>>> ")


def test_ctrl_c_ends_a_single_answer_with_130(terminal):
    answer = terminal("run", "echo", "forever")
    # The terminal is standard input here, so the prompt is the argument alone.
    answer.expect("and on and on")
    answer.type("\x03")
    assert answer.end() == 130
    assert "Traceback" not in answer.text
    assert answer.text.endswith("^C\nclosed\n")


def test_sigint_ends_a_piped_answer_with_130(tmp_path):
    process = subprocess.Popen(
        [sys.executable, SCRIPT, "run", "echo", "forever"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    with process:
        assert process.stdout.read(20).startswith(b"[1] forever and on")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert out.endswith(b"\n")
    assert err == b"closed\n"


def test_a_reader_that_goes_away_is_no_traceback(tmp_path):
    process = subprocess.Popen(
        [sys.executable, SCRIPT, "run", "echo", "forever"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    with process:
        process.stdout.read(5)
        process.stdout.close()
        assert process.stderr.read() == b"closed\n"
        assert process.wait(PATIENCE) == 1


def test_without_a_prompt_output_must_be_a_terminal_too(terminal, tmp_path):
    with (tmp_path / "out").open("w") as out:
        session = terminal("run", "echo", stdout=out)
        assert session.end() == 2
    assert "Error: the prompt is empty" in session.text


def test_lines_are_remembered_for_the_next_session(terminal, tmp_path):
    pytest.importorskip("readline")
    history = tmp_path / ".ollamax" / "history"
    first = terminal("run", "echo")
    first.expect(">>> ")
    first.type("remember me\n")
    first.expect(r"\n\n>>> ")
    first.type("/set nohistory\n")
    first.expect(">>> ")
    first.type("forget me\n")
    first.expect(r"\n\n>>> ")
    first.type("\x04")
    assert first.end() == 0
    assert history.read_text().splitlines() == ["remember me", "/set nohistory"]
    assert history.stat().st_mode & 0o777 == 0o600
    second = terminal("run", "echo")
    second.expect(">>> ")
    second.type("\x1b[A\x1b[A\n")  # up, up
    assert "[1] remember me" in second.expect(r"\n\n>>> ")


def test_nohistory_writes_nothing(terminal, tmp_path):
    session = terminal("run", "echo", OLLAMAX_NOHISTORY="1")
    session.expect(">>> ")
    session.type("hello\n")
    session.expect(r"\n\n>>> ")
    session.type("/bye\n")
    assert session.end() == 0
    assert not (tmp_path / ".ollamax").exists()
