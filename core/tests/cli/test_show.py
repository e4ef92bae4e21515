import json

import pytest
from click.testing import CliRunner

from ollamax.cli.show import show
from ollamax.errors import GGUFError, ModelNotFoundError, NameInvalidError, TemplateError, UsageError
from ollamax.modelfile import parse_modelfile

JINJA = "{% for m in messages %}{{ m.content }}{% endfor %}"


def run(*arguments):
    done = CliRunner().invoke(show, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


@pytest.fixture
def pirate(put):
    return put(
        "pirate",
        params={"temperature": 0.5, "stop": ["<|a|>", " b"]},
        template="{{ .System }}|{{ .Prompt }}",
        system="line one\n\nline two\nline three",
        licenses=["MIT License\nwithout warranty\nof any kind", "Second"],
        messages=[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "arr"}],
    )


def test_a_person_is_shown_what_matters(pirate):
    assert run("pirate") == (
        "  Model\n"
        "    architecture        llama\n"
        "    parameters          2K\n"
        "    context length      128\n"
        "    embedding length    32\n"
        "    quantization        Q8_0\n"
        "\n"
        "  Template\n"
        "    kind                Go, of the Modelfile\n"
        "\n"
        "  Parameters\n"
        "    temperature         0.5\n"
        "    stop                <|a|>\n"
        "    stop                 b\n"
        "\n"
        "  System\n"
        "    line one\n"
        "    line two\n"
        "    ...\n"
        "\n"
        "  Messages\n"
        "    2 that every chat begins with\n"
        "\n"
        "  License\n"
        "    MIT License\n"
        "    without warranty\n"
        "    ...\n"
        "\n"
        "  License\n"
        "    Second\n"
    )


def test_one_part_alone(pirate):
    assert run("pirate", "--template") == "{{ .System }}|{{ .Prompt }}\n"
    assert run("pirate", "--system") == "line one\n\nline two\nline three\n"
    assert run("pirate", "--license") == "MIT License\nwithout warranty\nof any kind\n\nSecond\n"
    names, values = zip(*(line.split(maxsplit=1) for line in run("pirate", "--parameters").splitlines()), strict=True)
    assert names == ("temperature", "stop", "stop")
    assert values == ("0.5", "<|a|>", "b")


def test_the_modelfile_makes_the_same_model(pirate):
    written = parse_modelfile(run("pirate", "--modelfile"))
    assert written.from_ == str(pirate.model_path)
    assert (written.template, written.system, written.licenses) == (pirate.template, pirate.system, pirate.licenses)
    assert written.parameters == {"temperature": ["0.5"], "stop": ["<|a|>", " b"]}
    assert written.messages == pirate.messages
    assert "# FROM pirate:latest\n" in run("pirate", "--modelfile")


def test_what_a_model_lacks_is_shown_as_nothing(put):
    put("bare")
    for part in ("template", "system", "license", "parameters"):
        assert run("bare", f"--{part}") == ""
    assert "kind                none, text is continued as it is\n" in run("bare")


def test_the_files_own_template_is_shown(put):
    put("chat", **{"tokenizer.chat_template": JINJA})
    assert run("chat", "--template") == JINJA + "\n"
    assert "kind                Jinja, of the model file\n" in run("chat")


def test_json(pirate):
    document = json.loads(run("pirate", "--json"))
    assert (document["name"], document["kind"]) == ("pirate:latest", "store")
    assert document["path"] == str(pirate.model_path)
    assert document["parameters"] == {"temperature": ["0.5"], "stop": ["<|a|>", " b"]}
    assert document["messages"][1] == {"role": "assistant", "content": "arr"}
    assert document["details"] == {
        "format": "gguf",
        "family": "llama",
        "families": ["llama"],
        "parameter_size": "2K",
        "quantization_level": "Q8_0",
    }
    assert document["model_info"]["llama.context_length"] == 128
    assert "tokenizer.ggml.tokens" not in document["model_info"]


def test_numbers_that_json_cannot_hold_are_left_out(gguf):
    path = gguf(**{"llama.rope.freq_base": float("nan"), "llama.rope.scale": 0.5})
    shown = run(path, "--json")
    assert "NaN" not in shown
    assert json.loads(shown)["model_info"]["llama.rope.scale"] == 0.5


def test_files_and_bundled_models_are_shown_too(gguf, store, bundle):
    path = gguf()
    assert json.loads(run(path, "--json"))["kind"] == "gguf"
    assert "architecture        llama" in run(path)
    document = json.loads(run("story", "--json"))
    assert (document["kind"], document["path"], document["system"]) == ("bundled", str(bundle), "Tell stories.")
    assert "stop                <|end|>" in run("story:latest")


@pytest.mark.parametrize(
    ("arguments", "error", "problem"),
    [
        (["absent"], ModelNotFoundError, "model 'absent' not found"),
        (["./absent"], ModelNotFoundError, "./absent: no such file or directory"),
        (["absent.gguf"], ModelNotFoundError, "absent.gguf: no such file or directory"),
        (["bad name"], NameInvalidError, "model 'bad name' is not valid"),
        (["x", "--json", "--system"], UsageError, "only one of --modelfile, --parameters"),
        (["x", "--system", "--license"], UsageError, "only one of"),
    ],
)
def test_errors(store, bundle, arguments, error, problem):
    with pytest.raises(error, match=problem):
        CliRunner().invoke(show, arguments, catch_exceptions=False)


def test_a_file_that_is_no_model_is_an_error(tmp_path, store):
    path = tmp_path / "text.gguf"
    path.write_bytes(b"hello")
    with pytest.raises(GGUFError, match=r"text\.gguf"):
        CliRunner().invoke(show, [str(path)], catch_exceptions=False)


def test_a_bad_template_is_an_error(put):
    put("chat", **{"tokenizer.chat_template": "{% if %}"})
    with pytest.raises(TemplateError, match="line 1"):
        CliRunner().invoke(show, ["chat"], catch_exceptions=False)
