import subprocess
import sys

import pytest

from ollamax.errors import TemplateError
from ollamax.template import choose_template
from ollamax.template.go import GoTemplate
from ollamax.template.jinja import JinjaTemplate
from ollamax.template.plain import PlainTemplate
from ollamax.types import Message

CHAT = [Message("user", "hi")]
TOKENS = {
    "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>"],
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.ggml.padding_token_id": 99,
    "tokenizer.ggml.unknown_token_id": -1,
}
OWN = "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{{ pad_token }}{{ unk_token }}"


def test_the_modelfiles_template_comes_first():
    template = choose_template("go {{ .Prompt }}", {"tokenizer.chat_template": OWN})
    assert isinstance(template, GoTemplate)
    assert template.render(CHAT) == "go hi"


def test_then_the_files_own_with_its_special_tokens():
    template = choose_template(None, {"tokenizer.chat_template": OWN, **TOKENS})
    assert isinstance(template, JinjaTemplate)
    assert template.render(CHAT) == "<s>hi</s>"


def test_an_empty_template_of_a_modelfile_is_a_template():
    assert isinstance(choose_template("", {"tokenizer.chat_template": OWN}), GoTemplate)


@pytest.mark.parametrize(
    "templates",
    [
        {"tokenizer.chat_template": "D", "tokenizer.chat_template.tool_use": "T"},
        {"tokenizer.chat_template.default": "D", "tokenizer.chat_template.tool_use": "T"},
        {"tokenizer.chat_template.rag": "D"},
    ],
)
def test_among_named_templates_the_default_or_only_one_is_taken(templates):
    assert choose_template(None, templates).render(CHAT) == "D"


def test_several_named_templates_without_a_default_are_an_error():
    templates = {"tokenizer.chat_template.rag": "R", "tokenizer.chat_template.tool_use": "T"}
    with pytest.raises(TemplateError, match="chat templates rag, tool_use, but no default; write a TEMPLATE"):
        choose_template(None, templates)


def test_a_template_that_is_no_text_is_an_error():
    with pytest.raises(TemplateError, match=r"^tokenizer\.chat_template: a string was expected, not list$"):
        choose_template(None, {"tokenizer.chat_template": ["x"]})


def test_a_base_model_goes_on_with_the_text_it_is_given():
    template = choose_template(None, {})
    assert isinstance(template, PlainTemplate)
    assert template.render([Message("user", "Once"), Message("assistant", " upon")]) == "Once upon"
    assert template.render(CHAT, system="S ") == "S hi"
    assert template.stops == ()


def test_only_the_engine_that_is_needed_is_imported():
    code = (
        "import sys; from ollamax.template import choose_template; choose_template(None, {});"
        "print(sorted({'jinja2', 'gotpl'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
