"""``ollamax run demo`` as a user runs it: a process, the bundled model, real text."""

import os
import re
import subprocess
import sys

import pytest

GREEDY = ("--temperature", "0", "--num-predict", "40")
PROMPT = "Tell me a story about a fox."


def ollamax(*arguments, home, stdin=b""):
    return subprocess.run(
        [sys.executable, "-c", "from ollamax.cli.main import main; raise SystemExit(main())", *arguments],
        input=stdin,
        capture_output=True,
        timeout=120,
        env={**os.environ, "HOME": str(home), "OLLAMAX_MODELS": str(home / "models")},
        check=False,
    )


@pytest.fixture
def run(tmp_path):
    def run_demo(*arguments, stdin=b""):
        result = ollamax("run", "demo", *arguments, home=tmp_path, stdin=stdin)
        assert b"Traceback" not in result.stderr
        return result

    return run_demo


def said(result):
    """The lines on stderr but for progress, which may take a line on a slow machine."""
    lines = result.stderr.decode().splitlines()
    return [line for line in lines if not line.startswith(("loading demo: ", "reading the prompt: "))]


def test_a_prompt_gets_a_story_about_its_subject(run):
    result = run(PROMPT, *GREEDY)
    assert result.returncode == 0
    assert said(result) == []
    text = result.stdout.decode()
    assert "fox" in text
    assert len(text.split()) > 15
    assert text.endswith("\n")


def test_a_piped_prompt_is_the_same_prompt(run):
    assert run(*GREEDY, stdin=PROMPT.encode()).stdout == run(PROMPT, *GREEDY).stdout


def test_the_same_seed_tells_the_same_story(run):
    seeded = [run(PROMPT, "--num-predict", "40", "--temperature", "1", "--seed", seed).stdout for seed in "112"]
    assert seeded[0] == seeded[1] != seeded[2]


def test_stop_ends_the_story_before_its_text(run):
    whole = run(PROMPT, *GREEDY).stdout.decode()
    word = whole.split()[5]
    assert run(PROMPT, *GREEDY, "--stop", word).stdout.decode().rstrip() == whole[: whole.index(word)].rstrip()


def test_num_predict_counts_tokens(run):
    result = run(PROMPT, "--num-predict", "7", "--verbose")
    assert "eval count:           7 token(s)" in result.stderr.decode()


def test_verbose_prints_rates(run):
    lines = said(run(PROMPT, *GREEDY, "--verbose"))
    labels = [line.split(":")[0] for line in lines if line]
    assert labels == [
        "total duration",
        "load duration",
        "load rate",
        "prompt eval count",
        "prompt eval duration",
        "prompt eval rate",
        "eval count",
        "eval duration",
        "eval rate",
        "eval bandwidth",
    ]
    assert re.fullmatch(r"eval rate: +\d+\.\d\d tokens/s", lines[-2])
    assert re.fullmatch(r"eval bandwidth: +\d+\.\d\d GB/s", lines[-1])


def test_raw_goes_on_with_the_text(run):
    result = run("--raw", "Once upon a", *GREEDY)
    assert result.returncode == 0
    assert result.stdout.decode().startswith((" time", "time"))


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("run", "demoo", "x"), 1, "demoo"),
        (("run", "demo"), 2, "the prompt is empty"),
        (("run", "demo", "x", "--temperature", "-1"), 2, "option temperature: '-1' is not valid"),
        (("run", "demo", "x", "--backend", "abacus"), 1, "abacus"),
        (("run", "demo", "x", "--num-ctx", "99999999"), 2, "num_ctx"),
        (("run", "demo", "fox " * 5000), 1, "cut"),
        (("run", "demo", "x", "--template", "{{ .Nonsense }}"), 1, "Nonsense"),
        (("run", "demo", "x", "--image", __file__), 2, "picture"),
        (("run", "demo", "x", "--colour"), 2, "--colour"),
        (("run",), 2, "MODEL"),
    ],
)
def test_a_fault_is_one_line_and_an_exit_status(tmp_path, arguments, status, message):
    result = ollamax(*arguments, home=tmp_path)
    lines = said(result)
    assert len(lines) == 1
    assert lines[0].startswith("Error: ")
    assert message in lines[0]
    assert result.returncode == status
    assert result.stdout == b""
