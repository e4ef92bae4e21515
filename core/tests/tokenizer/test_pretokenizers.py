import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from ollamax.tokenizer.pretokenizers import GPT2, PRE_TOKENIZERS, Default, GPT4o, Llama3, Qwen2, StarCoder, Tekken

TEXTS = st.lists(
    st.one_of(
        st.text(max_size=6),
        st.sampled_from(
            [" ", "  ", "\n", "\r\n", "\t", "'s", "'RE", "12345", "ÄÖ", "é", "नमस्ते", "我想", "McDonald", "/"]
        ),
    ),
    max_size=15,
).map("".join)


def pieces(patterns: tuple[str, ...], text: str) -> list[str]:
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
    return [piece for piece, _ in pre_tokenizers.Sequence(splits).pre_tokenize_str(text)]


def test_names_are_unique():
    names = [name for found in PRE_TOKENIZERS for name in found.names]
    assert len(names) == len(set(names))
    assert all(found.names and found.patterns and found.__doc__ for found in PRE_TOKENIZERS)


@pytest.mark.parametrize("found", PRE_TOKENIZERS, ids=lambda found: found.names[0])
@settings(max_examples=50, deadline=None)
@given(text=TEXTS)
def test_no_pre_tokenizer_loses_text(found, text):
    assert "".join(pieces(found.patterns, text)) == text


@settings(max_examples=300, deadline=None)
@given(text=TEXTS)
def test_gpt2_is_the_librarys_own(text):
    # The library spells bytes as characters on the way, so compare where the cuts are.
    theirs = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True).pre_tokenize_str(text)
    ours = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(GPT2.patterns[0]), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    ).pre_tokenize_str(text)
    assert ours == theirs


@settings(max_examples=200, deadline=None)
@given(text=TEXTS)
def test_starcoder_is_the_librarys_digits_and_gpt2(text):
    theirs = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    ).pre_tokenize_str(text)
    ours = pre_tokenizers.Sequence(
        [
            *[pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in StarCoder.patterns],
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    ).pre_tokenize_str(text)
    assert ours == theirs


@pytest.mark.parametrize(
    ("found", "text", "expected"),
    [
        (Llama3, "I'VE 12345 cats!\n\n  x", ["I", "'VE", " ", "123", "45", " cats", "!\n\n", " ", " x"]),
        (Qwen2, "I'VE 123 cats", ["I", "'VE", " ", "1", "2", "3", " cats"]),
        (GPT2, "I'VE 123  cats\n", ["I", "'", "VE", " 123", " ", " cats", "\n"]),
        (StarCoder, "a 12", ["a", " ", "1", "2"]),
        (GPT4o, "camelCase it's HTML/ 1234", ["camel", "Case", " it's", " HTML", "/", " ", "123", "4"]),
        (Tekken, "camelCase 12", ["camel", "Case", " ", "1", "2"]),
        (Default, "a+b 1234", ["a", "+", "b", " ", "123", "4"]),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_where_the_cuts_are(found, text, expected):
    assert pieces(found.patterns, text) == expected
