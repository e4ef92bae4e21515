"""`ollamax render`: the prompt of a chat is the one that the model is given."""

import io
import json
import sys
import types

import pytest
from random_llama import BOS, write_random_llama

import ollamax
from ollamax.cli.main import main

TEMPLATE = "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Oh"}, {"role": "user", "content": "Bye"}]


@pytest.fixture
def model(tmp_path):
    return write_random_llama(tmp_path / "m.gguf", tokenizer__chat_template=TEMPLATE)


@pytest.fixture
def chat(tmp_path):
    def write(value):
        path = tmp_path / "chat.json"
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return str(path)

    return write


def test_text_and_ids(model, chat, capsys):
    assert main(["render", str(model), "--messages", chat(CHAT), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["text"] == "<|begin|>[user]Hi[assistant]Oh[user]Bye"
    # The template writes the token that begins a text, which then stands there once.
    assert made["ids"][:7] == [BOS, *b"[user]"]
    assert made["tokens"][:3] == ["<|begin|>", "[", "u"]


def test_it_is_the_prompt_that_chat_gives(model, chat, capsys, monkeypatch):
    main(["render", str(model), "--messages", chat(CHAT), "--json"])
    ids = json.loads(capsys.readouterr().out)["ids"]
    with ollamax.load(model, backend="cpu") as loaded:
        next(iter(loaded.chat(CHAT, stream=True, num_predict=1)))
        assert loaded.runner.book.length(0) == len(ids)
        seen = []
        monkeypatch.setattr(loaded, "_run", lambda ids, *_, **__: seen.append(ids))
        loaded.chat(CHAT, stream=True)
    assert seen == [ids]


def test_for_people_and_from_standard_input(model, monkeypatch, capsys):
    data = json.dumps(CHAT[:1]).encode()
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(data)))
    assert main(["render", str(model), "--messages", "-"]) == 0
    assert capsys.readouterr().out == "<|begin|>[user]Hi\n\n9 tokens\n256 91 117 115 101 114 93 72 105\n"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[", "is not valid JSON"),
        ("[" * 200_000, "is not valid JSON"),
        ({"role": "user"}, "holds a JSON dict; expected a list of messages"),
        ([], "a chat needs at least one message"),
        ([{"role": "boss", "content": "x"}], "message 1 has role 'boss'"),
        ([{"role": "user"}], "message 1 has content of type NoneType"),
        ([{"role": "user", "content": "x", "text": 1}], "message 1 has 'text'"),
        ([{"role": "user", "content": "x", "images": [__file__]}], "cannot see pictures"),
    ],
)
def test_bad_messages_are_one_line(model, chat, capsys, content, problem):
    assert main(["render", str(model), "--messages", chat(content)]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert problem in shown.err


def test_a_file_that_is_not_there(model, capsys):
    assert main(["render", str(model), "--messages", "absent.json"]) == 1
    assert capsys.readouterr().err == "Error: absent.json: not a regular file\n"
    assert main(["render", str(model)]) == 2
    assert "--messages" in capsys.readouterr().err


@pytest.mark.reference
def test_a_picture_stands_where_the_template_puts_it(mllama_checkpoint, tmp_path, chat, capsys):
    from random_mllama import png

    (tmp_path / "a.png").write_bytes(png(28, 28))
    turn = {"role": "user", "content": "What?", "images": [str(tmp_path / "a.png")]}
    assert main(["render", str(mllama_checkpoint), "--messages", chat([turn]), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["text"].endswith("[user]<|image|>What?[assistant]")
    assert made["tokens"].count("<|image|>") == 1
