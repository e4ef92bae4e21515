"""``ollamax run`` with one prompt, around a model without weights."""

import re

import pytest
from click.testing import CliRunner

from ollamax.cli.main import cli, main
from ollamax.cli.run import run
from ollamax.cli.timings import timing_lines
from ollamax.engine.chunk import Chunk, Stats
from ollamax.engine.options import TABLE
from ollamax.errors import BackendError, OllamaxError, UsageError


def invoke(*arguments, stdin=""):
    return CliRunner().invoke(run, arguments, input=stdin)


def asked(fake):
    """The messages and options of the last call."""
    return fake.models[-1].calls[-1]


def test_a_prompt_is_answered_and_the_line_ended(fake):
    result = invoke("demo", "Tell", "me")
    assert result.stdout == "Once upon a time.\n"
    assert result.stderr == ""
    assert result.exit_code == 0
    assert asked(fake) == ([{"role": "user", "content": "Tell me"}], {})
    assert fake.requests == [("demo", "auto", None)]
    assert fake.models[-1].closed


def test_an_answer_that_ends_its_line_gets_no_second_one(fake):
    fake.replies[:] = [["a\n", "b\n"]]
    assert invoke("demo", "x").stdout == "a\nb\n"


def test_a_piped_prompt_comes_before_the_argument(fake):
    invoke("demo", stdin="one\ntwo\n")
    assert asked(fake)[0][0]["content"] == "one\ntwo"
    invoke("demo", "Summarise", stdin="\ufeffone\n")
    assert asked(fake)[0][0]["content"] == "one\nSummarise"


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (("demo",), "", "the prompt is empty"),
        (("demo", ""), "", "the prompt is empty"),
        (("demo", " "), " \n", "the prompt is empty"),
        (("demo",), b"caf\xe9", r"not UTF-8 text \(byte 3\)"),
        (("demo", "--raw"), "", "the prompt is empty"),
        (("demo", "x", "--raw", "--system", "y"), "", "--raw takes a prompt"),
        (("demo", "x", "--temperature", "hot"), "", "option temperature: 'hot' is not valid"),
        (("demo", "x", "--top-p", "1.5"), "", "above 0 and at most 1"),
        (("demo", "x", "--stop", ""), "", "option stop"),
        (("demo", "x", "--stop", "caf\udce9"), "", r"option stop: .*udce9.* is not valid; expected Unicode text"),
    ],
)
def test_a_wrong_call_ends_before_anything_is_loaded(fake, arguments, stdin, message):
    result = invoke(*arguments, stdin=stdin)
    assert isinstance(result.exception, UsageError)
    assert re.search(message, str(result.exception))
    assert fake.models == []


def test_standard_input_has_a_limit(fake, monkeypatch):
    monkeypatch.setattr("ollamax.cli.run._LARGEST_INPUT", 10)
    assert isinstance(invoke("demo", stdin="x" * 11).exception, UsageError)
    assert invoke("demo", stdin="x" * 10).exit_code == 0


def test_system_template_and_backend_are_passed_on(fake):
    invoke("demo", "x", "--system", "Be kind.", "--template", "{{ .Prompt }}", "--backend", "cpu")
    assert asked(fake)[0][0] == {"role": "system", "content": "Be kind."}
    assert fake.requests == [("demo", "cpu", "{{ .Prompt }}")]
    invoke("demo", "x", "--system", "")
    assert asked(fake)[0][0] == {"role": "system", "content": ""}


def test_options_go_to_loading_or_to_the_generation(fake):
    invoke("demo", "x", "--num-ctx", "64", "--temperature", "0", "--seed", "-1", "--stop", "a", "--stop", "b")
    assert fake.models[-1].load_options == {"num_ctx": 64}
    assert asked(fake)[1] == {"temperature": 0.0, "seed": -1, "stop": ("a", "b")}


def test_aliases_are_flags_too(fake):
    invoke("demo", "x", "--max-tokens", "5", "--context-length", "99")
    assert asked(fake)[1] == {"num_predict": 5}
    assert fake.models[-1].load_options == {"num_ctx": 99}


def test_help_lists_every_option_with_its_default():
    text = CliRunner().invoke(run, ["--help"], terminal_width=200).output
    for option in TABLE.values():
        assert option.flags[0] + ("," if option.aliases else " ") in text
    assert "[default: 0.8]" in text


def test_images_are_passed_with_the_message(fake, tmp_path):
    picture = tmp_path / "a.png"
    picture.write_bytes(b"the picture")
    invoke("demo", "x", "--image", str(picture))
    assert asked(fake)[0] == [{"role": "user", "content": "x", "images": [b"the picture"]}]


def test_a_path_in_the_prompt_is_a_picture_for_a_model_that_sees(fake, tmp_path, monkeypatch):
    picture = tmp_path / "a.png"
    picture.write_bytes(b"the picture")
    invoke("demo", f"what is {picture} ?")
    assert asked(fake)[0] == [{"role": "user", "content": f"what is {picture} ?"}]
    monkeypatch.setattr(type(fake.models[-1]), "sees_pictures", True)
    result = invoke("demo", f"what is {picture} ?")
    assert asked(fake)[0] == [{"role": "user", "content": "what is  ?", "images": [b"the picture"]}]
    assert result.stderr == f"Added image '{picture}'\n"


def test_an_image_that_does_not_exist_is_a_usage_error(fake, capsys):
    assert main(["run", "demo", "x", "--image", "nowhere.png"]) == 2
    assert "nowhere.png" in capsys.readouterr().err
    assert fake.models == []


def test_raw_continues_the_prompt_without_a_template(fake):
    assert invoke("demo", "Once", "--raw", "--seed", "3").stdout == "Once upon a time.\n"
    assert asked(fake) == ("Once", {"seed": 3})


def test_drafts_are_counted_where_there_were_any():
    assert timing_lines(Stats(drafted_tokens=9, accepted_tokens=7), None)[-1] == (
        "drafted:              9 token(s), 7 accepted"
    )
    assert not any("draft" in line for line in timing_lines(Stats(eval_tokens=9), None))


def test_verbose_prints_timings_on_stderr(fake):
    result = invoke("demo", "x", "--verbose")
    assert result.stdout == "Once upon a time.\n"
    assert result.stderr.splitlines() == [
        "",
        "total duration:       1.5s",
        "load duration:        250ms",
        "load rate:            10.00 GB/s",
        "prompt eval count:    12 token(s)",
        "prompt eval duration: 500ms",
        "prompt eval rate:     24.00 tokens/s",
        "eval count:           3 token(s)",
        "eval duration:        30ms",
        "eval rate:            100.00 tokens/s",
        "eval bandwidth:       20.00 GB/s",
    ]


def test_a_notice_of_the_engine_is_a_warning_on_stderr(fake):
    fake.replies[:] = [[Chunk("", notice="the oldest message was left out"), "Yes."]]
    result = invoke("demo", "x")
    assert result.stdout == "Yes.\n"
    assert result.stderr == "Warning: the oldest message was left out\n"


def test_ctrl_c_ends_the_line_and_the_program_with_130(fake):
    fake.replies[:] = [["Once ", "upon", KeyboardInterrupt(), " never"]]
    result = invoke("demo", "x", "--verbose")
    assert result.stdout == "Once upon\n"
    assert result.stderr == ""
    assert result.exit_code == 130
    assert fake.models[-1].closed


def test_a_failing_model_is_closed_and_its_text_kept(fake):
    fake.replies[:] = [["Once ", BackendError("out of memory")]]
    result = invoke("demo", "x")
    assert result.stdout == "Once \n"
    assert isinstance(result.exception, OllamaxError)
    assert fake.models[-1].closed


def test_run_is_a_command_of_ollamax():
    assert cli.get_command(None, "run") is run
