import pytest

from ollamax.errors import TemplateError
from ollamax.template.jinja import JinjaTemplate
from ollamax.types import Message

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}
SYSTEM = Message("system", "You are terse.")


@pytest.fixture(scope="module")
def reference():
    """transformers' own rendering of a template and a chat."""
    import tokenizers
    import transformers

    words = tokenizers.models.WordLevel({"<s>": 0, "</s>": 1, "?": 2}, unk_token="?")
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizers.Tokenizer(words), **SPECIAL)

    def render(template, chat):
        turns = [{"role": message.role, "content": message.content} for message in chat]
        return tokenizer.apply_chat_template(turns, chat_template=template, tokenize=False, add_generation_prompt=True)

    return render


FORMATS = ["chatml", "qwen2", "llama3", "llama2", "mistral", "zephyr", "phi3", "gemma", "odds"]


@pytest.mark.reference
@pytest.mark.parametrize("with_system", [False, True])
@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize("name", FORMATS)
def test_output_is_that_of_transformers(formats, reference, chat, name, length, with_system):
    source = formats.JINJA[name]
    chat = chat[:length]
    if with_system and name == "gemma":
        with pytest.raises(TemplateError, match=r"^chat template, line 2: System role not supported$"):
            JinjaTemplate(source, special_tokens=SPECIAL).render(chat, system=SYSTEM.content)
        return
    ours = JinjaTemplate(source, special_tokens=SPECIAL).render(chat, system=SYSTEM.content if with_system else None)
    assert ours == reference(source, [SYSTEM, *chat] if with_system else chat)
    assert chat[-1].content[:6] in ours


def test_the_default_system_message_yields_to_that_of_the_chat(formats, chat):
    template = JinjaTemplate(formats.JINJA["chatml"])
    assert template.render([SYSTEM, *chat], system="default") == template.render(chat, system="You are terse.")
    assert "default" not in template.render([SYSTEM, *chat], system="default")


def test_pictures_become_parts_of_the_content():
    template = JinjaTemplate("{% for part in messages[0].content %}{{ part.type }}:{{ part.text }} {% endfor %}")
    assert template.render([Message("user", "what?", (b"png", b"png"))]) == "image: image: text:what? "


@pytest.mark.parametrize(
    ("name", "stops"),
    [
        ("chatml", ("<|im_end|>",)),
        ("llama3", ("<|eot_id|>",)),
        ("llama2", ("</s>",)),
        ("zephyr", ("</s>",)),
        ("phi3", ("<|end|>",)),
        ("gemma", ("<end_of_turn>",)),
    ],
)
def test_the_token_behind_an_answer_is_a_stop(formats, name, stops):
    assert JinjaTemplate(formats.JINJA[name], special_tokens=SPECIAL).stops == stops


@pytest.mark.parametrize("source", ["{{ messages[-1].content }}\nUser:", "no answer", "{{ messages[7].content }}"])
def test_without_such_a_token_there_are_no_stops(source):
    assert JinjaTemplate(source).stops == ()


def test_each_rendering_is_metered_afresh(chat):
    template = JinjaTemplate("{% for i in range(90000) %}{% endfor %}{{ messages | length }}")
    assert [template.render(chat) for _ in range(15)] == ["3"] * 15


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("\n\n{% if %}", "chat template, line 3: Expected an expression"),
        ("{% for x in messages %}", "chat template, line 1: Unexpected end of template"),
        ("a\n{{ x | nothing }}", "chat template, line 2: No filter named 'nothing'"),
        ("{% frobnicate %}", "Encountered unknown tag 'frobnicate'"),
        ("{{" + "(" * 5000 + "1" + ")" * 5000 + "}}", "cannot be compiled"),
        ("{{" + "not " * 50_000 + "1}}", "cannot be compiled"),
        ("{% for i in [1] %}" * 30 + "{% endfor %}" * 30, "cannot be compiled"),
        ("x" * 600_000, "has 600000 characters; 524288 are allowed"),
    ],
)
def test_a_malformed_template_is_refused_when_it_is_made(source, problem):
    with pytest.raises(TemplateError) as caught:
        JinjaTemplate(source)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("a\n\n{{ foo.bar }}", "chat template, line 3: 'foo' is undefined"),
        ("{{ foo() }}", "'foo' is undefined"),
        ("{{ messages[0].content + 1 }}", "line 1: "),
        ("{{ raise_exception('no\nway') }}", "no way"),
        ("{% include 'other' %}", "no loader"),
        ("{{ undefined_thing | tojson }}", "not JSON serializable"),
    ],
)
def test_a_template_that_fails_says_where_and_why(source, problem):
    template = JinjaTemplate(source)
    with pytest.raises(TemplateError) as caught:
        template.render([Message("user", "hi")])
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
