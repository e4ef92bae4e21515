from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ollamax.errors import TokenizerError
from ollamax.tokenizer.vocabulary import TokenType

NAMES = ("llama-bpe", "qwen2", "llama-spm")
# Text of every script, with the characters that tokenizers trip over far more often than chance.
TEXTS = st.lists(
    st.one_of(
        st.text(max_size=8),
        st.sampled_from(
            [" ", "  ", "\n", "\r\n", "\t", "'s", "'LL", "1234", "é", "é", "🦙", "👩‍🚀", "नमस्ते", "ក់", "我", "\0", "▁"]
        ),
        st.sampled_from(["<s>", "</s>", "<|im_end|>", "<|eot_id|>", "[PAD151700]", "<0x0A>", "<unk>"]),
    ),
    max_size=12,
).map("".join)


def cases(folder: Path, name: str) -> list[tuple[str, list[int]]]:
    # newline="" keeps \r; one line break before and after the separator line belongs to it, all others to the text.
    texts = (folder / f"{name}.gguf.inp").read_bytes().decode().split("\n__ggml_vocab_test__\n")
    lines = (folder / f"{name}.gguf.out").read_text().split("\n")
    assert len(texts) == len(lines) == 47
    return [(text, [int(word) for word in line.split()]) for text, line in zip(texts, lines, strict=True)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("parse_special", [True, False])
def test_every_case_of_the_shared_vectors(shared_vocab, load, name, parse_special):
    tokenizer = load(name)
    for text, ids in cases(shared_vocab, name):
        assert tokenizer.encode(text, add_bos=False, parse_special=parse_special) == ids, text


@pytest.mark.parametrize(("name", "first"), [("llama-bpe", [128000]), ("qwen2", []), ("llama-spm", [1])], ids=NAMES)
def test_bos_follows_the_file(load, name, first):
    tokenizer = load(name)
    plain = tokenizer.encode("Hello", add_bos=False)
    assert tokenizer.encode("Hello") == first + plain
    assert tokenizer.encode("Hello", add_bos=True) == [tokenizer.bos, *plain]
    assert tokenizer.encode("") == first


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("llama-bpe", {"<|end_of_text|>", "<|eot_id|>"}),
        ("qwen2", {"<|endoftext|>", "<|im_end|>"}),
        ("llama-spm", {"</s>"}),
    ],
)
def test_end_ids(load, name, texts):
    tokenizer = load(name)
    assert {tokenizer.token_text(token) for token in tokenizer.end_ids} == texts


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
@example(text="   three spaces first")
@example(text="<s> one <s>two  <|eot_id|>  three")
def test_any_text_survives_the_round_trip(load, name, text):
    if name == "llama-spm":
        text = text.replace("▁", "")  # SentencePiece spells a space so, and cannot tell the two apart
    tokenizer = load(name)
    for parse_special in (True, False):
        ids = tokenizer.encode(text, add_bos=False, parse_special=parse_special)
        assert tokenizer.decode(ids, special=True) == text
        assert tokenizer.decode(tokenizer.encode(text, True, parse_special)[1:], special=True) == text
    assert tokenizer.decode(tokenizer.encode(text, add_bos=True, parse_special=False)) == text


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=100, deadline=None)
@given(data=st.data(), special=st.booleans())
def test_streaming_any_ids_equals_decoding_them(load, name, data, special):
    tokenizer = load(name)
    low = st.integers(0, 300)  # bytes and control tokens live here or at the end
    token = st.one_of(low, st.integers(0, tokenizer.n_vocab - 1), low.map(lambda back: tokenizer.n_vocab - 1 - back))
    ids = data.draw(st.lists(token, max_size=30))
    stream = tokenizer.stream(special)
    pieces = [stream.push(token) for token in ids]
    pieces.append(stream.finish())
    assert "".join(pieces) == tokenizer.decode(ids, special)
    if name != "llama-spm":  # which leaves out spaces that encode would add
        joined = b"".join(tokenizer.token_bytes(token, special) for token in ids)
        assert joined.decode(errors="replace") == tokenizer.decode(ids, special)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=50, deadline=None)
@given(text=TEXTS, cut=st.floats(0, 1))
def test_a_stream_continues_where_the_prompt_ends(load, name, text, cut):
    tokenizer = load(name)
    ids = tokenizer.encode(text)
    prompt, rest = ids[: int(cut * len(ids))], ids[int(cut * len(ids)) :]
    head, tail = tokenizer.stream(), tokenizer.stream(after=prompt)
    start = b"".join(map(head.token_bytes, prompt))
    end = b"".join(map(tail.token_bytes, rest))
    assert (start + end).decode(errors="replace") == tokenizer.decode(ids)


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_never_gives_half_a_character(load, name):
    tokenizer = load(name)
    text = "🦙🦙 ក់ 我想 naïve"
    stream = tokenizer.stream()
    pieces = [stream.push(token) for token in tokenizer.encode(text, add_bos=False)]
    assert "".join(pieces) == text
    assert "\ufffd" not in "".join(pieces)
    assert stream.finish() == ""
    halves = tokenizer.encode("𒀀", add_bos=False)  # cuneiform, spelled byte by byte everywhere
    assert len(halves) > 1
    stream = tokenizer.stream()
    assert "".join(map(stream.push, halves[:-1])) == ""
    assert stream.finish() == "\ufffd"


def test_a_space_that_the_model_wrote_stays(load):
    spm = load("llama-spm")
    word = spm.encode("Hello", add_bos=False)  # one token, "▁Hello"
    assert [spm.token_text(token) for token in word] == ["▁Hello"]
    assert spm.stream().push(word[0]) == "Hello"
    assert spm.stream(after=[spm.bos]).push(word[0]) == "Hello"
    assert spm.stream(after=spm.encode("Say:")).push(word[0]) == " Hello"


@pytest.mark.parametrize("name", NAMES)
def test_control_tokens_in_text(load, name):
    tokenizer = load(name)
    control = tokenizer.vocabulary.of_type(TokenType.CONTROL)
    assert control
    for text, token in control.items():
        assert token in tokenizer.encode(f"a{text}b", add_bos=False)
        assert token not in tokenizer.encode(f"a{text}b", add_bos=False, parse_special=False)
        assert token not in tokenizer.encode(text, add_bos=False, parse_special=False)
        assert tokenizer.token_bytes(token) == b""
        assert tokenizer.token_bytes(token, special=True) == text.encode()


def test_user_defined_tokens_are_always_matched(load):
    tokenizer = load("qwen2")
    token = tokenizer.vocabulary.tokens.index("[PAD151700]")
    assert tokenizer.vocabulary.types[token] is TokenType.USER_DEFINED
    for parse_special in (True, False):
        assert token in tokenizer.encode("x[PAD151700]y", parse_special=parse_special)
    assert tokenizer.decode([token]) == "[PAD151700]"


@pytest.mark.parametrize("name", NAMES)
def test_ids_outside_the_vocabulary_are_refused(load, name):
    tokenizer = load(name)
    for token in (-1, tokenizer.n_vocab):
        with pytest.raises(TokenizerError, match=rf"token id {token} is not in the vocabulary of \d+ tokens"):
            tokenizer.decode([token])
        with pytest.raises(TokenizerError):
            tokenizer.token_text(token)


@pytest.mark.parametrize("name", NAMES)
def test_a_lone_surrogate_is_refused(load, name):
    with pytest.raises(TokenizerError, match=r"lone surrogate \(U\+D800\) at character 2"):
        load(name).encode("ab\ud800c")
