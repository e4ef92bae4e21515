"""Templates that attack: each is refused in one line, in bounded time and memory."""

import pytest

from ollamax.errors import TemplateError
from ollamax.template import meter
from ollamax.template.jinja import JinjaTemplate
from ollamax.types import Message


def grow(step, start="'ab'"):
    """A template that applies ``step`` to ns.x 64 times, so that what doubles reaches 2 ** 64."""
    return f"{{% set ns = namespace(x={start}) %}}{{% for i in range(64) %}}{step}{{% endfor %}}"


NESTED = "{% set ns = namespace(x=[1]) %}{% for i in range(50) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}"
ATTACKS = {
    "class of a string": ("{{ ''.__class__.__mro__ }}", "unsafe"),
    "class by item": ("{{ ''['__class__'].x }}", "unsafe"),
    "globals of a function": ("{{ raise_exception.__globals__.x }}", "unsafe"),
    "init of a class": ("{{ namespace.__init__.__globals__ }}", "unsafe"),
    "filter attr": ("{{ messages | attr('__class__') }}", "No filter named 'attr'"),
    "format field": ("{{ '{0.__class__.__mro__}'.format(1) }}", "unsafe"),
    "format map": ("{{ '{a.__class__.__mro__}'.format_map({'a': 1}) }}", "unsafe"),
    "changing a list": ("{{ messages.append(1) }}", "unsafe"),
    "changing a dict": ("{{ messages[0].update(role='x') }}", "unsafe"),
    "dunder in a namespace": ("{{ namespace(__call__=1) }}", "cannot have the attribute '__call__'"),
    "dunder set later": ("{% set ns = namespace() %}{% set ns.__html__ = 1 %}", "cannot have the attribute"),
    "calling data": ("{% set ns = namespace() %}{{ ns() }}", "cannot be called"),
    "lipsum": ("{{ lipsum(n=1000000) }}", "'lipsum' is undefined"),
    "huge range": ("{{ range(10 ** 9) }}", "Range too big"),
    "nested loops": ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "steps"),
    "endless output": ("{% for i in range(9999) %}{{ 'x' * 99999 }}{% endfor %}", "characters"),
    "endless text": ("{% for i in range(99999) %}" + "x" * 9999 + "{% endfor %}", "characters"),
    "recursive macro": ("{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}", "recursion"),
    "doubling macro": (
        "{% macro f(n) %}{% if n %}{% set a = f(n - 1) %}{% set a = f(n - 1) %}{% endif %}{% endmacro %}{{ f(60) }}",
        "steps",
    ),
    "recursive loop": (
        "{% for i in [1] recursive %}{{ loop(range(99999)) }}{% endfor %}",
        "recursion",
    ),
    "wide recursive loop": (
        "{% for i in [1] recursive %}{% if loop.depth0 == 0 %}"
        + "{{ loop(range(99999)) }}" * 9
        + "{% endif %}{% endfor %}",
        "steps",
    ),
    "doubling by ~": (grow("{% set ns.x = ns.x ~ ns.x %}"), "characters"),
    "doubling by +": (grow("{% set ns.x = ns.x + ns.x %}"), "characters"),
    "doubling by %": (grow("{% set ns.x = '%s%s' % (ns.x, ns.x) %}"), "characters"),
    "doubling by format": (grow("{% set ns.x = '{0}{0}'.format(ns.x) %}"), "characters"),
    "doubling by a block": (grow("{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}"), "characters"),
    "doubling by the filter join": (grow("{% set ns.x = [ns.x, ns.x] | join %}"), "characters"),
    "doubling by a separator": (grow("{% set ns.x = 'abc' | list | join(ns.x) %}"), "characters"),
    "doubling by the method join": (grow("{% set ns.x = ns.x.join(['a', 'b', 'c']) %}"), "characters"),
    "doubling by the filter replace": (grow("{% set ns.x = ns.x | replace('a', ns.x) %}"), "characters"),
    "doubling by the method replace": (grow("{% set ns.x = ns.x.replace('a', ns.x) %}"), "characters"),
    "doubling by quoting": (grow("{% set ns.x = [ns.x, ns.x] | tojson %}"), "characters"),
    "doubling a list": (grow("{% set ns.x = ns.x + ns.x %}", "[1]"), "characters"),
    "repeating a string": ("{{ 'a' * 10 ** 10 }}", "characters"),
    "repeating a list": ("{{ 10 ** 10 * [1] }}", "characters"),
    "wide %": ("{{ '%1000000000d' % 1 }}", "widths"),
    "starred %": ("{{ '%*d' % (1000000000, 1) }}", "widths"),
    "wide format": ("{{ '{:1000000000}'.format(1) }}", "widths"),
    "nested format": ("{{ '{:{w}}'.format(1, w=1000000000) }}", "widths"),
    "padding": ("{{ 'a'.ljust(1000000000) }}", "str.ljust is not offered"),
    "bytes of a number": ("{{ (1).to_bytes(1000000000, 'big') }}", "int.to_bytes is not offered"),
    "wide indent": ("{{ 'a' | indent(1000000000) }}", "indent of more than"),
    "indent by text": ("{{ 'a' | indent('x' * 99999) }}", "indent of more than"),
    "indented JSON": ("{{ [1] | tojson(separators=('x' * 99999, ':')) }}", "separators of more than"),
    "large number": ("{{ 10 ** (10 ** 9) }}", "bits"),
    "squaring": (grow("{% set ns.x = ns.x * ns.x %}", "2"), "bits"),
    "list written out": (NESTED + "{{ ns.x }}", "steps"),
    "list joined": (NESTED + "{{ 'a' ~ ns.x }}", "steps"),
    "list as JSON": (NESTED + "{{ ns.x | tojson }}", "steps"),
    "list as string": (NESTED + "{{ ns.x | string }}", "steps"),
    "list in upper case": (NESTED + "{{ ns.x | upper }}", "steps"),
    "list formatted": (NESTED + "{{ '%s' % [ns.x] }}", "steps"),
    "view written out": (NESTED + "{{ {'a': ns.x}.items() }}", "steps"),
    "deep list": (
        "{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}"
        "{{ ns.x | string }}",
        "deep",
    ),
    "many copies": (
        "{% set ns = namespace(x=[], y='x' * 999999) %}{% for i in range(9999) %}"
        "{% set ns.x = ns.x + [ns.y[1:]] %}{% endfor %}",
        "characters",
    ),
    "many lists": (
        "{% set ns = namespace(x=[], y=[1] * 9999) %}{% for i in range(9999) %}"
        "{% set ns.x = [ns.x, ns.y + [1]] %}{% endfor %}",
        "characters",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_refused(name, monkeypatch):
    # The bounds themselves are tested below; a tenth of them makes the same point sooner.
    monkeypatch.setattr(meter, "MAX_STEPS", meter.MAX_STEPS // 10)
    monkeypatch.setattr(meter, "MAX_CHARACTERS", meter.MAX_CHARACTERS // 10)
    source, problem = ATTACKS[name]
    with pytest.raises(TemplateError) as caught:
        JinjaTemplate(source).render([Message("user", "hi")])
    message = str(caught.value)
    assert problem in message
    assert message.startswith("chat template, line 1: ")
    assert "\n" not in message
    assert len(message) < 400


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("{{ ''.__class__ }}", ""),
        ("{{ raise_exception.__globals__ }}", ""),
        ("{{ '{0.__class__}'.format(1) }}", ""),
        (NESTED + "{{ ns }}", "<namespace>"),
        ("{{ messages | map(attribute='__class__') | list }}", "[Undefined]"),
    ],
)
def test_what_is_hidden_shows_nothing(source, shown):
    assert JinjaTemplate(source).render([Message("user", "hi")]) == shown


def test_a_long_chat_stays_within_the_bounds(formats):
    chat = [Message(("user", "assistant")[i % 2], "word " * 400) for i in range(999)]  # 2 million characters
    for name in ("chatml", "qwen2", "llama3", "llama2", "mistral", "phi3", "gemma"):
        template = JinjaTemplate(formats.JINJA[name], special_tokens={"bos_token": "<s>", "eos_token": "</s>"})
        assert len(template.render(chat)) > 1_900_000


def test_the_bounds_as_they_are():
    with pytest.raises(TemplateError, match="it takes more than 500000 steps"):
        JinjaTemplate("{% for i in range(800) %}{% for j in range(800) %}{% endfor %}{% endfor %}").render([])
    with pytest.raises(TemplateError, match="it makes more than 268435456 characters"):
        JinjaTemplate("{{ 'x' * 2 ** 28 }}{{ 'x' * 2 }}").render([])
