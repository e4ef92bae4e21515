import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamax.errors import ModelfileError
from ollamax.modelfile import Modelfile, parse_modelfile
from ollamax.modelfile.quote import quoted
from ollamax.types import Message

# Rich in the characters that matter to the grammar.
texts = st.text(st.one_of(st.sampled_from('" \n\t#\r'), st.characters(exclude_categories=["Cs"])), max_size=30)
values = texts.filter(lambda text: quoted(text) is not None)
names = st.from_regex(r"[a-z_0-9]{1,12}", fullmatch=True)
modelfiles = st.builds(
    Modelfile,
    from_=values.filter(str.strip),
    parameters=st.dictionaries(names, st.lists(values, min_size=1, max_size=3), max_size=3),
    template=st.none() | values,
    system=st.none() | values,
    licenses=st.lists(values, max_size=2),
    messages=st.lists(st.builds(Message, st.sampled_from(["system", "user", "assistant"]), values), max_size=3),
)


@given(modelfiles)
def test_what_is_written_reads_back_equal(modelfile):
    assert parse_modelfile(str(modelfile)) == modelfile


@given(texts)
def test_only_a_line_that_ends_with_triple_quotes_has_no_spelling(text):
    inner = text.split("\n")[:-1]
    if quoted(text) is None:
        assert any(('"""' + line).rstrip().endswith('"""') for line in inner)
        with pytest.raises(ModelfileError, match=r"^SYSTEM: a Modelfile cannot express this text"):
            str(Modelfile(from_="m", system=text))
    else:
        assert parse_modelfile(str(Modelfile(from_="m", system=text))).system == text


@given(st.text())
def test_any_text_is_parsed_or_refused_in_one_line(text):
    problem = ""
    try:
        parse_modelfile(text)
    except ModelfileError as error:
        problem = str(error)
    assert "\n" not in problem


def test_writing_prefers_the_plainest_form():
    modelfile = Modelfile(
        from_="demo",
        parameters={"stop": ["a b", " c"]},
        template="one\ntwo",
        system='line "x"\nsays "y"',
        licenses=['ends in ""'],
    )
    assert str(modelfile) == (
        "FROM demo\n"
        'TEMPLATE "one\ntwo"\n'
        'SYSTEM """line "x"\nsays "y""""\n'
        "PARAMETER stop a b\n"
        'PARAMETER stop " c"\n'
        'LICENSE ends in ""\n'
    )
