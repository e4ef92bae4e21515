import datetime

import pytest

from ollamax.errors import TemplateError
from ollamax.template.go import GoTemplate
from ollamax.template.jinja import JinjaTemplate
from ollamax.types import Message

SPECIAL = {"bos_token": "", "eos_token": "</s>"}


def user(text):
    return Message("user", text)


SAME = [("GO_LEGACY", name) for name in ("chatml", "llama3", "phi3", "zephyr")]
SAME += [("GO_MESSAGES", name) for name in ("chatml", "llama3", "phi3")]


@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize("system", [None, "You are terse."])
@pytest.mark.parametrize(("table", "name"), SAME)
def test_prompts_equal_those_of_the_models_own_template(formats, chat, name, table, system, length):
    own = JinjaTemplate(formats.JINJA[name], special_tokens=SPECIAL).render(chat[:length], system=system)
    assert GoTemplate(getattr(formats, table)[name]).render(chat[:length], system=system) == own


@pytest.mark.parametrize("length", [1, 3])
def test_prompts_for_gemma_equal_those_of_its_own_template(formats, chat, length):
    own = JinjaTemplate(formats.JINJA["gemma"], special_tokens=SPECIAL).render(chat[:length])
    assert GoTemplate(formats.GO_MESSAGES["gemma"]).render(chat[:length]) == own


MISTRAL = """[INST] {{ if .System }}{{ .System }}

{{ end }}{{ .Prompt }}[/INST] {{ .Response }}"""
MISTRAL_MESSAGES = """[INST] {{ if .System }}{{ .System }}

{{ end }}
{{- range .Messages }}
{{- if eq .Role "user" }}{{ .Content }}[/INST] {{ else if eq .Role "assistant" }}{{ .Content }}[INST] {{ end }}
{{- end }}"""
ALPACA = """{{ .System }}

{{ if .Prompt }}### Instruction:
{{ .Prompt }}

{{ end }}### Response:
{{ .Response }}

"""


@pytest.mark.parametrize("source", [MISTRAL, MISTRAL.removesuffix("{{ .Response }}"), MISTRAL_MESSAGES])
def test_legacy_templates_are_applied_turn_by_turn(source):
    chat = [Message("system", "Be kind."), user("Hi!"), Message("assistant", "Hello."), user("Name?")]
    assert GoTemplate(source).render(chat) == "[INST] Be kind.\n\nHi![/INST] Hello.[INST] Name?[/INST] "


def test_text_behind_the_response_is_left_out_of_the_open_turn_only():
    chat = [user("a"), Message("assistant", "b"), user("c")]
    assert GoTemplate(ALPACA).render(chat, system="S") == (
        "S\n\n### Instruction:\na\n\n### Response:\nb\n\n\n\n### Instruction:\nc\n\n### Response:\n"
    )


def test_a_last_answer_is_left_open_to_be_continued(formats):
    chat = [user("a"), Message("assistant", "Once upon")]
    assert GoTemplate(formats.GO_LEGACY["chatml"]).render(chat).endswith("<|im_start|>assistant\nOnce upon")


@pytest.mark.parametrize(
    ("source", "prompt"),
    [
        ("{{ .Prompt }}>{{ if .Response }}{{ .Response }} inside{{ end }} behind", "p>"),
        ("{{ if .System }}s{{ else if .Prompt }}<{{ .Response }}>{{ else }}none{{ end }} behind", "<"),
        ("{{ if .System }}s{{ else }}{{ if .Prompt }}<{{ .Response }}>{{ end }} x{{ end }} behind", "<"),
        ("{{ with .Prompt }}{{ . }}{{ with $.System }}{{ end }}{{ end }}é{{- .Response -}}  \n  behind", "pé"),
        ('{{ .Prompt }}{{ `{{` }}{{ .Response | printf "%s|" }}behind', "p{{|"),
        ("{{ .Prompt }}{{/* .Response */}}!", "p!"),
    ],
)
def test_the_cut_behind_the_response_keeps_branches_whole(source, prompt):
    assert GoTemplate(source).render([user("p")]) == prompt


def test_neighbours_of_one_role_are_merged_and_system_messages_joined():
    chat = [
        Message("system", "a"),
        user("1"),
        user("2"),
        Message("system", "b"),
        Message("tool", "x"),
        Message("tool", "y"),
    ]
    seen = GoTemplate("{{ .System }};{{ range .Messages }} {{ .Role }}={{ .Content }}{{ end }}").render(chat)
    assert seen == "a\n\nb; system=a user=1\n\n2 system=b tool=x tool=y"


def test_the_default_system_message_yields_to_that_of_the_chat():
    template = GoTemplate("{{ .System }}|{{ .Prompt }}")
    assert template.render([user("p")], system="default") == "default|p"
    assert template.render([Message("system", "own"), user("p")], system="default") == "own|p"
    assert template.render([user("p")]) == "|p"


def test_every_variable_of_ollama_is_there_and_those_for_tools_are_empty():
    source = (
        "{{ if or .Tools .Suffix .Think .ThinkLevel .IsThinkSet }}never{{ end }}{{ range .Tools }}never{{ end }}"
        "{{ range $i, $m := .Messages }}{{ $i }}{{ .Role }}{{ $m.Content }}{{ len .Images }}{{ .Thinking }}"
        "{{ range .ToolCalls }}{{ .Function.Name }}{{ end }}{{ .ToolName }}{{ .ToolCallID }}{{ end }}"
    )
    assert GoTemplate(source).render([Message("user", "hi", (b"png",))]) == "0userhi1"


@pytest.mark.parametrize(
    ("action", "shown"),
    [
        ("{{ json .Messages | len | lt 10 }}", "true"),
        ('{{ json "<é&\\"" }}', '"\\u003cé\\u0026\\""'),
        ("{{ json nil }}", "null"),
        ("{{ range .Messages }}{{ json .Images }}{{ end }}", '["cG5n"]'),
        ('{{ print 1 2 "a" 3 true }}', "1 2a3 true"),
        ('{{ println 1 "a" }}', "1 a\n"),
        ('{{ printf "%s|%q|%5d|%-3s|%v|%%" "a" "b" 7 "c" 1.5 }}', 'a|"b"|    7|c  |1.5|%'),
        (
            '{{ eq .Prompt "x" "p" }}{{ ne 1 2 }}{{ lt 1 2 }}{{ le 2 2 }}{{ gt 1 2 }}{{ ge 1 2 }}',
            "truetruetruetruefalsefalse",
        ),
        ("{{ and .Prompt .System }}{{ or .System .Prompt }}{{ not .System }}", "ptrue"),
        ('{{ len .Prompt }}{{ slice "hello" 1 3 }}{{ index "hello" 0 }}', "1el104"),
        ("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}", "2"),
        ("{{ range $i := 9 }}{{ if eq $i 2 }}{{ break }}{{ end }}x{{ continue }}y{{ end }}", "xx"),
        ('{{ toTypeScriptType "x" }}', "any"),
    ],
)
def test_functions(action, shown):
    assert GoTemplate(action).render([Message("user", "p", (b"png",))]) == shown


def test_dates():
    today = datetime.date.today()
    text = GoTemplate('{{ currentDate }} {{ currentDate "2006" }} {{ yesterdayDate }}').render([])
    days = {today, datetime.date.today()}  # midnight may pass meanwhile
    assert text in {f"{day} {day} {day - datetime.timedelta(days=1)}" for day in days}


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("a\n{{ .Prompt ", "template, line 2: unclosed action"),
        ("{{ if .Prompt }}x", "unexpected EOF"),
        (
            "{{ .Prompt }}\n\n{{ nope .Prompt }}",
            "template, line 3: function 'nope' not defined; there are and, currentDate",
        ),
        ("{{ html .Prompt }}", "the function html is not offered"),
        ("{{ call .Prompt }}", "the function call is not offered"),
        ("{{ if (eq (js .Prompt) 1) }}{{ end }}", "the function js is not offered"),
        ("\n{{ .Promt }}", "template, line 2: .Promt is no variable; there are IsThinkSet, Messages"),
        ("{{ range .Messages }}{{ $.Sytem }}{{ end }}", ".Sytem is no variable"),
        ("{{ $x }}", "undefined variable '$x'"),
        ('{{ define "a" }}{{ end }}', "{{define}} and {{block}} are not supported"),
        ('{{ template "a" }}', "{{template}} and {{block}} are not supported"),
        ("{{" + "(" * 5000 + "1" + ")" * 5000 + "}}", "nesting limit"),
        ("{{ if .Prompt }}" + "{{ else if .Prompt }}" * 400 + "{{ end }}", "nests too deeply"),
        ("{{ if .Prompt }}" + "{{ else if .Prompt }}" * 5000 + "{{ end }}", "nests too deeply"),
        ("x" * 200_000, "has 200000 characters; 131072 are allowed"),
    ],
)
def test_a_malformed_template_is_refused_when_it_is_made(source, problem):
    with pytest.raises(TemplateError) as caught:
        GoTemplate(source)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("a\n{{ range .Messages }}{{ .Foo }}{{ end }}", "line 2: missing key or attribute 'Foo'"),
        ("{{ .Prompt.__class__ }}", "attribute '__class__' is not allowed"),
        ("{{ .Messages.append }}", "method 'append' is not allowed"),
        ("{{ index .Messages 7 }}", "index out of range"),
        ("{{ lt .Prompt 1 }}", "incompatible types"),
        ("{{ range 100000000 }}{{ end }}", "iteration budget exceeded"),
        ("{{ range 100000 }}" + "x" * 1000 + "{{ end }}", "output character budget exceeded"),
        ('{{ $x := "aa" }}{{ range 64 }}{{ $x = printf "%s%s" $x $x }}{{ end }}', "more than 16777216 characters"),
        ('{{ $x := "aa" }}{{ range 64 }}{{ $x = print $x $x }}{{ end }}', "more than 16777216 characters"),
        ('{{ $x := "\\"" }}{{ range 64 }}{{ $x = json $x }}{{ end }}', "more than 16777216 characters"),
        ('{{ printf "%999999999d" 1 }}', "widths from 1000"),
        ('{{ printf "%.999999999f" 1.0 }}', "widths from 1000"),
        ('{{ printf "%*d" 999999999 1 }}', "widths from 1000"),
        ('{{ printf "%[2]*[1]d" 1 999999999 }}', "widths from 1000"),
        ("{{ print" + " .Messages" * 40 + " }}", "more than 32 arguments"),
        ("{{ printf 1 }}", "expected str, got int"),
    ],
)
def test_a_template_that_fails_or_attacks_says_why(source, problem):
    template = GoTemplate(source)
    with pytest.raises(TemplateError) as caught:
        template.render([user("hi")])
    assert problem in str(caught.value)
    assert str(caught.value).startswith("the template fails on this chat: line ")
    assert "\n" not in str(caught.value)


def test_a_tools_message_needs_a_template_over_messages():
    with pytest.raises(TemplateError, match=r"role 'tool' needs a template that uses \.Messages"):
        GoTemplate("{{ .Prompt }}").render([user("hi"), Message("tool", "42")])


def test_each_rendering_is_bounded_afresh():
    template = GoTemplate('{{ $x := "aaaaaaaa" }}{{ range 20 }}{{ $x = print $x $x }}{{ end }}{{ len $x }}')
    assert [template.render([]) for _ in range(3)] == [str(8 * 2**20)] * 3


def test_go_templates_tell_no_stops(formats):
    assert GoTemplate(formats.GO_LEGACY["chatml"]).stops == ()
