"""A template that fails on everything is told from one that is only particular."""

import pytest

from ollamax.errors import TemplateError
from ollamax.template.go import GoTemplate
from ollamax.template.jinja import JinjaTemplate
from ollamax.template.plain import PlainTemplate
from ollamax.template.trial import try_template
from ollamax.types import Message

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}


@pytest.mark.parametrize("name", ["chatml", "qwen2", "llama3", "llama2", "mistral", "zephyr", "phi3", "gemma", "odds"])
def test_templates_of_the_field_pass(formats, name):
    try_template(JinjaTemplate(formats.JINJA[name], special_tokens=SPECIAL))


@pytest.mark.parametrize(
    "condition",
    [
        "messages[0].role != 'system'",
        "messages[0].role != 'user'",
        "messages | length < 3",
        "messages | length != 1",
        "messages | selectattr('role', 'equalto', 'assistant') | list | length == 0 or messages[0].role != 'system'",
        "messages[0].content is string",
        "messages[-1].content is string or messages[0].role != 'system'",
    ],
)
def test_a_particular_template_passes(condition):
    source = "{% if " + condition + " %}{{ raise_exception('not so') }}{% endif %}{{ messages[0].role }}"
    try_template(JinjaTemplate(source))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ raise_exception('never') }}", "never"),
        ("{{ messages[7].content }}", "line 1"),
        ("{{ nothing.at.all }}", "undefined"),
        ("{% for i in range(10 ** 9) %}x{% endfor %}", "chat template"),
    ],
)
def test_a_template_that_always_fails(source, message):
    with pytest.raises(TemplateError, match=rf"^the template renders no chat, .*{message}.*; write a TEMPLATE"):
        try_template(JinjaTemplate(source))


def test_what_every_chat_begins_with_counts(formats):
    gemma = JinjaTemplate(formats.JINJA["gemma"], special_tokens=SPECIAL)
    with pytest.raises(TemplateError, match="System role not supported"):
        try_template(gemma, system="Be brief.")
    try_template(gemma, before=[Message("user", "x"), Message("assistant", "y")])
    picky = JinjaTemplate("{% if messages[0].content == 'x' %}{{ raise_exception('not x') }}{% endif %}")
    try_template(picky)
    with pytest.raises(TemplateError, match="not x"):
        try_template(picky, before=[Message("user", "x")])


def test_other_templates():
    try_template(PlainTemplate())
    try_template(GoTemplate("{{ range .Messages }}{{ .Role }}{{ end }}"))
    with pytest.raises(TemplateError, match="renders no chat"):
        try_template(GoTemplate('{{ index .Messages 9 }}{{ slice "a" 5 }}'))
