"""Worker processes: their answers, their errors, and that they end."""

import os
import sys

import pytest

from ollamax.bench.measure import Measurement
from ollamax.bench.plan import Sizes, plan
from ollamax.bench.worker import Contender, own_contender
from ollamax.errors import BenchmarkError

# An engine without a model, which says what it was asked.
ECHO = """
import os, signal, time
from ollamax.bench.work import arguments, serve
from ollamax.errors import BackendError

class Echo:
    def __init__(self): print("to be seen on stderr only")
    def about(self): return {"cannot": {"overhead": "it has none"}, "step_bytes": 1, "given": vars(arguments())}
    def prompt(self, tokens): return [float(tokens)]
    def decode(self, steps, held): os.kill(os.getppid(), signal.SIGINT); time.sleep(60); print("overslept")
    def parallel(self, sequences, steps): raise BackendError("no such\\nthing")
    def chat(self, history, answer, message): raise ZeroDivisionError("by zero")
    def overhead(self, steps): os._exit(3)

serve(Echo)
"""


@pytest.fixture
def echo(tmp_path):
    path = tmp_path / "echo.py"
    path.write_text(ECHO, encoding="utf-8")
    return Contender("echo", [sys.executable, str(path), "a model", "--threads=2"])


def test_a_worker_answers_and_prints_elsewhere(echo, capfd):
    with echo.start(context=5, sequences=3) as worker:
        assert worker.run("prompt", 7) == [7.0]
        assert worker.run("about")["given"] == {"model": "a model", "threads": 2, "context": 5, "sequences": 3}
        assert worker.run("peak") > 5e6
        assert worker.since_start() > 0
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "to be seen" in captured.err


@pytest.mark.parametrize(
    ("work", "message"),
    [
        ("parallel", "echo: no such thing"),
        ("chat", "echo: ZeroDivisionError: by zero"),
        ("overhead", "echo: its worker ended with status 3 before it had done 'overhead'"),
        ("load", "echo: KeyError: 'load'"),
    ],
)
def test_an_error_of_a_worker_is_one_line(echo, work, message):
    with pytest.raises(BenchmarkError) as caught, echo.start(context=1) as worker:
        worker.run(work, *[1, 2, 3][: {"parallel": 2, "chat": 3}.get(work, 1)])
    assert str(caught.value) == message


def test_a_worker_that_cannot_be_started_is_an_error(tmp_path):
    with pytest.raises(BenchmarkError, match="gone: its worker cannot be started: No such file"):
        Contender("gone", [str(tmp_path / "python")]).start(context=1)


def test_ctrl_c_ends_a_worker_whatever_it_does(echo):
    worker = echo.start(context=1)
    with pytest.raises(KeyboardInterrupt), worker:
        worker.run("decode", 1, 1)
    assert worker._process.poll() is not None


def test_contenders_take_turns_and_what_one_cannot_do_is_told(echo):
    told = []
    jobs, _ = plan(Sizes(prompts=(4,)), ["prompt", "overhead"], trained=100_000)
    twin = Contender("twin", echo.command)
    measurement = Measurement([echo, twin], lambda kind: 2, tell=told.append)
    prompt, overhead = measurement.run(jobs, measurement.about(context=1))
    assert prompt.samples == {"echo": [1.0, 1.0], "twin": [1.0, 1.0]}  # 4 tokens in 4 s, after one that warms up
    assert prompt.ratios("echo") == {"twin": 1.0}
    assert [title for title in told if "prompt" in title] == ["prompt 4 (echo)", "prompt 4 (twin)"] * 3
    assert overhead.samples == {}
    assert overhead.cannot == {"echo": "it has none", "twin": "it has none"}
    assert overhead.ratios("echo") == {}


def test_a_contender_may_take_part_in_fresh_rows_alone(echo):
    jobs, _ = plan(Sizes(prompts=(4,)), ["prompt", "start"], trained=100_000)
    measurement = Measurement([echo, Contender("cold", echo.command, only_fresh=True)], lambda kind: 1)
    found = {row.row.title: list(row.samples) for row in measurement.run(jobs, measurement.about(context=1))}
    assert found == {"start to first token": ["echo", "cold"], "prompt 4": ["echo"]}


def test_a_model_that_cannot_be_loaded_is_one_line(tmp_path):
    missing = own_contender(str(tmp_path / "none.gguf"), "cpu")
    with pytest.raises(BenchmarkError, match=r"^cpu: .*none\.gguf"), missing.start(context=8) as worker:
        worker.run("about")


def test_workers_end_when_their_starter_is_gone(echo):
    read, write = os.pipe()
    code = f"""
import signal
from ollamax.bench.worker import Contender
worker = Contender("echo", {list(echo.command)!r}).start(context=1)
signal.signal(signal.SIGINT, signal.SIG_DFL)
worker.run("decode", 1, 1)  # which sends us SIGINT
"""
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", code],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, write, 2), (os.POSIX_SPAWN_CLOSE, read)],
    )
    os.close(write)
    os.waitpid(pid, 0)
    with os.fdopen(read) as stderr:
        told = stderr.read()  # ends only when the worker, which has the other end, has ended
    assert "to be seen" in told
    assert "overslept" not in told
