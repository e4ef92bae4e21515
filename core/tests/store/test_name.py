import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamax.errors import NameInvalidError
from ollamax.store import ModelName


@pytest.mark.parametrize(
    ("text", "parts", "shortest"),
    [
        ("demo", ("local", "library", "demo", "latest"), "demo:latest"),
        ("demo:1b", ("local", "library", "demo", "1b"), "demo:1b"),
        ("me/demo", ("local", "me", "demo", "latest"), "me/demo:latest"),
        (
            "host.example:5000/me/demo:q8_0",
            ("host.example:5000", "me", "demo", "q8_0"),
            "host.example:5000/me/demo:q8_0",
        ),
        ("host:5000/me/demo", ("host:5000", "me", "demo", "latest"), "host:5000/me/demo:latest"),
        ("local/library/demo:latest", ("local", "library", "demo", "latest"), "demo:latest"),
        ("Qwen2.5-0.5B_x", ("local", "library", "Qwen2.5-0.5B_x", "latest"), "Qwen2.5-0.5B_x:latest"),
        ("a" * 80 + ":" + "t" * 80, ("local", "library", "a" * 80, "t" * 80), "a" * 80 + ":" + "t" * 80),
    ],
)
def test_missing_parts_are_filled_in(text, parts, shortest):
    name = ModelName.parse(text)
    assert (name.host, name.namespace, name.model, name.tag) == parts
    assert str(name) == shortest
    assert ModelName.parse(shortest) == name
    assert name.path.parts == parts


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "model ''"),
        (":latest", "model ''"),
        ("demo:", "tag ''"),
        ("/demo", "namespace ''"),
        ("a//demo", "namespace ''"),
        ("../demo", "namespace '..'"),
        ("../../etc/passwd", "host '../..'"),
        ("..", "model '..'"),
        (".hidden", "model '.hidden'"),
        ("demo:../../x", "namespace '..'"),
        ("demo:..", "tag '..'"),
        ("-demo", "model '-demo'"),
        ("de mo", "model 'de mo'"),
        ("de\\mo", "model 'de\\\\mo'"),
        ("demo\n", "model 'demo\\n'"),
        ("démo", "model 'démo'"),
        ("d\0", "model 'd\\x00'"),
        ("name.space/demo", "namespace 'name.space'"),
        ("a/b/c/demo", "host 'a/b'"),
        ("https://host/me/demo", "host 'https://host'"),
        ("demo@sha256:abc", "model 'demo@sha256'"),
        ("a" * 81, "model 'aaaa"),
        ("demo:" + "a" * 81, "tag 'aaaa"),
        ("h" * 351 + "/a/b", "host 'hhhh"),
    ],
)
def test_what_is_no_name_is_refused(text, part):
    with pytest.raises(NameInvalidError) as caught:
        ModelName.parse(text)
    message = str(caught.value)
    assert message.startswith(f"model name: {part}")
    assert "is not valid; expected 1 to " in message
    assert "\n" not in message
    assert len(message) < 250


@given(st.text(st.sampled_from("aZ0_-.:/\\~ \n\0%é"), max_size=20))
def test_no_text_becomes_a_path_outside_of_the_store(text):
    try:
        path = ModelName.parse(text).path
    except NameInvalidError:
        return
    assert len(path.parts) == 4
    assert not path.is_absolute()
    assert not {"..", "."} & set(path.parts)
