"""What becomes of one plugin's sources under another name."""

import pytest

from ollamax.errors import UsageError
from ollamax.scaffold.plugin_name import PluginKind, PluginName
from ollamax.scaffold.renaming import Renaming

TO = PluginName("my_model", PluginKind.ARCHITECTURE)
LLAMA = Renaming(PluginName("llama", PluginKind.ARCHITECTURE), "Llama", TO)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from ollamax_llama.model import Llama", "from ollamax_my_model.model import MyModel"),
        (
            'class LlamaConverter: names = ("LlamaForCausalLM",)',
            'class MyModelConverter: names = ("MyModelForCausalLM",)',
        ),
        ("name = \"llama\"; other = 'llama'", "name = \"my_model\"; other = 'my_model'"),
        ('name = f"llama.{key}"', 'name = f"my_model.{key}"'),
        ("must divide llama.attention.head_count", "must divide my_model.attention.head_count"),
        ("ollamax-plugin-llama", "ollamax-plugin-my-model"),
        ("llama.cpp's conversion/llama.py", "llama.cpp's conversion/llama.py"),
        ("Llama 3.1 and llama3 scaling; CodeLlama, Llamas", "Llama 3.1 and llama3 scaling; CodeLlama, Llamas"),
        ("my.llama.key", "my.llama.key"),
    ],
)
def test_names_are_replaced_and_what_looks_alike_is_not(text, expected):
    assert LLAMA.text(text) == expected


def test_prose_speaks_of_the_new_name():
    assert LLAMA.in_prose("The llama model, not llama-like") == "The my_model model, not llama-like"


def test_a_name_has_its_forms():
    assert (TO.class_name, TO.distribution, TO.module, TO.folder) == (
        "MyModel",
        "ollamax-plugin-my-model",
        "ollamax_my_model",
        "my-model",
    )
    backend = PluginName("npu", PluginKind.BACKEND)
    assert (backend.distribution, backend.module, backend.folder) == (
        "ollamax-backend-npu",
        "ollamax_backend_npu",
        "backend-npu",
    )


@pytest.mark.parametrize(
    "name", ["", "9", "My", "my-model", "a b", "../up", "class", "ünser", "a__b", "_a", "a_", "x" * 21, "a\n", "a.b"]
)
def test_what_is_no_identifier_is_refused(name):
    with pytest.raises(UsageError, match="cannot be the name of a plugin; expected small letters"):
        PluginName(name, PluginKind.ARCHITECTURE)


def test_the_name_of_an_installed_package_is_taken(monkeypatch, tmp_path):
    (tmp_path / "ollamax_scaffolded.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="there is a package ollamax_scaffolded already"):
        PluginName("scaffolded", PluginKind.ARCHITECTURE).check_free()
