"""Tokenizers built from small hand-made metadata, most of it broken."""

import subprocess
import sys

import numpy as np
import pytest

from ollamax.errors import OllamaxError, TokenizerError
from ollamax.tokenizer import PreTokenizer, build_tokenizer
from ollamax.tokenizer.byte_level import BYTE_OF
from ollamax.tokenizer.byte_piece import BYTE_PIECES
from ollamax.tokenizer.plugin import ollamax_tokenizers
from ollamax.tokenizer.vocabulary import TokenType

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = (int(kind) for kind in TokenType)


def bpe(*extra: tuple[str, int], merges: tuple[str, ...] = (), **keys) -> dict:
    """The byte alphabet (ids 0 to 255), then ``extra`` tokens with their types."""
    rows = [*((character, NORMAL) for character in BYTE_OF), *extra]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": [text for text, _ in rows],
        "tokenizer.ggml.token_type": np.array([kind for _, kind in rows], np.int32),
        "tokenizer.ggml.merges": list(merges),
    } | {f"tokenizer.ggml.{name}": value for name, value in keys.items()}


def spm(*extra: tuple[str, int], spelled: bool = True, **keys) -> dict:
    """Unknown, bos and eos, the bytes if ``spelled``, then ``extra`` pieces, the first the best."""
    rows = [("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL)]
    rows += [(piece, BYTE) for piece in BYTE_PIECES if spelled] + list(extra)
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [text for text, _ in rows],
        "tokenizer.ggml.scores": -np.arange(len(rows), dtype=np.float32),
        "tokenizer.ggml.token_type": np.array([kind for _, kind in rows], np.int32),
    } | {f"tokenizer.ggml.{name}": value for name, value in keys.items()}


def build(metadata: dict):
    return build_tokenizer(metadata, ollamax_tokenizers())


def without(metadata: dict, name: str) -> dict:
    return {key: value for key, value in metadata.items() if key != f"tokenizer.ggml.{name}"}


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, r"the file has no tokenizer\.ggml\.model; installed: gpt2, llama$"),
        (bpe(model="rwkv"), r"tokenizer\.ggml\.model is 'rwkv', which no plugin provides; installed: gpt2, llama$"),
        (bpe(model=5), r"tokenizer\.ggml\.model is 5, which"),
        (bpe(pre="poem"), r"pre is 'poem', .*known: .*gpt-2, .*qwen2.*hook ollamax_tokenizers.*docs/tokenizers\.md"),
        (without(bpe(), "pre"), r"the file has no tokenizer\.ggml\.pre \(known: "),
        (bpe(pre=["gpt-2"]), r"pre is \['gpt-2'\], which"),
        (without(bpe(), "tokens"), r"tokenizer\.ggml\.tokens'?: the key is missing"),
        (bpe(tokens=[]), "tokens is empty"),
        (bpe(tokens=["a", 5]), "an array of strings was expected"),
        (without(bpe(), "merges"), r"tokenizer\.ggml\.merges'?: the key is missing"),
        (bpe(token_type=np.ones(3, np.int32)), "256 elements were expected, not 3"),
        (bpe(bos_token_id=256), "256 is too large; at most 255"),
        (bpe(eos_token_id=-1), "-1 is too small"),
        (bpe(bos_token_id="a"), "an integer was expected"),
        (bpe(add_bos_token=True), r"the file wants text with bos .* has no tokenizer\.ggml\.bos_token_id"),
        (bpe(add_eos_token=True), r"the file wants text with eos"),
        (bpe(pre="llama-bpe"), "the file wants text with bos"),
        (bpe() | {"ollamax.tokenizer.normalizer": "nfkc"}, "'nfkc'; only \"nfc\" is supported"),
        (bpe() | {"ollamax.tokenizer.rstrip_ids": [256]}, "token id 256 is not in the vocabulary"),
        (without(spm(), "scores"), r"tokenizer\.ggml\.scores'?: the key is missing"),
        (spm(scores=np.zeros(3, np.float32)), "259 elements were expected, not 3"),
        (spm(scores=np.full(259, np.nan, np.float32)), "finite"),
        (spm(remove_extra_whitespaces=True), "remove_extra_whitespaces is true, which is not supported"),
    ],
)
def test_metadata_that_cannot_be_used(metadata, message):
    with pytest.raises(OllamaxError, match=message) as caught:
        build(metadata)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (bpe(("a", NORMAL)), "tokens has 'a' twice"),
        (bpe(merges=("a b",)), r"merges do not fit tokenizer\.ggml\.tokens: .*ab"),
        (bpe(merges=("ab",)), r"merges do not fit tokenizer\.ggml\.tokens"),
        (spm(("a", NORMAL), ("a", NORMAL)), "do not make a SentencePiece model: .*a is already defined"),
    ],
)
def test_faults_that_show_at_the_first_text(metadata, message):
    tokenizer = build(metadata)
    with pytest.raises(TokenizerError, match=message):
        tokenizer.encode("ab")


def test_a_plugins_classes_are_used():
    class Vowels(PreTokenizer):
        names = ("vowels",)
        patterns = ("[aeiou]+",)

    metadata = bpe(("ab", NORMAL), ("bc", NORMAL), merges=("a b", "b c"), pre="vowels")
    tokenizer = build_tokenizer(metadata, [*ollamax_tokenizers(), Vowels])
    assert [tokenizer.token_text(token) for token in tokenizer.encode("abc")] == ["a", "bc"]


def test_ignore_merges_takes_a_whole_word():
    class Words(PreTokenizer):
        names = ("words",)
        patterns = (r"\w+",)
        ignore_merges = True

    for kind, expected in ((NORMAL, ["fox"]), (CONTROL, list("fox")), (UNUSED, list("fox"))):
        metadata = bpe(("fox", kind), pre="words")
        tokenizer = build_tokenizer(metadata, [*ollamax_tokenizers(), Words])
        ids = tokenizer.encode("fox", parse_special=False)
        assert [tokenizer.token_text(token) for token in ids] == expected


def test_a_merge_may_make_a_control_token():
    tokenizer = build(bpe(("ab", CONTROL), ("abc", NORMAL), merges=("a b", "ab c")))
    assert tokenizer.encode("abc", parse_special=False) == [257]


def test_user_defined_and_control_tokens():
    tokenizer = build(bpe(("<u>", USER), ("<c>", CONTROL), ("<cc>", CONTROL), ("<?>", UNKNOWN)))
    spelled = list(b"<c>")
    assert len(tokenizer.encode("<c>", parse_special=False)) == len(spelled)
    assert tokenizer.encode("<c><u><cc><?>") == [257, 256, 258, 259]
    assert tokenizer.encode("<u>", parse_special=False) == [256]
    assert tokenizer.decode([256, 257, 259]) == "<u>"
    assert tokenizer.decode([256, 257, 259], special=True) == "<u><c><?>"


def test_the_longest_of_the_leftmost_special_tokens_wins():
    tokenizer = build(bpe(("<a>", CONTROL), ("<a><b>", CONTROL), ("><b><c>", CONTROL)))
    assert tokenizer.encode("<a><b><c>")[0] == 257


def test_tokens_that_swallow_white_space():
    metadata = bpe(("<l>", CONTROL), ("<r>", CONTROL))
    metadata |= {"ollamax.tokenizer.lstrip_ids": [256], "ollamax.tokenizer.rstrip_ids": [257]}
    tokenizer = build(metadata)
    assert tokenizer.encode("a \n<l> b") == [*tokenizer.encode("a"), 256, *tokenizer.encode(" b")]
    assert tokenizer.encode("a <r>\u00a0 b") == [*tokenizer.encode("a "), 257, *tokenizer.encode("b")]


def test_types_of_tokens_decode_as_they_should():
    tokenizer = build(bpe(("<0x0A>", BYTE), ("gone", UNUSED), ("odd", 77), ("日", NORMAL), ("", NORMAL)))
    assert [tokenizer.token_bytes(token) for token in range(256, 261)] == [b"\n", b"", b"", "日".encode(), b""]
    metadata = without(bpe(), "token_type")
    assert build(metadata).decode(range(256)) == bytes(BYTE_OF.values()).decode(errors="replace")


def test_eos_is_added_where_the_file_says_so():
    tokenizer = build(bpe(("<s>", CONTROL), ("</s>", CONTROL), bos_token_id=256, eos_token_id=257, add_eos_token=True))
    plain = tokenizer.encode("a", add_bos=False)
    assert tokenizer.encode("a") == [*plain, 257]
    assert tokenizer.encode("a", add_bos=True) == [256, *plain, 257]
    with pytest.raises(TokenizerError, match="the vocabulary has no bos"):
        build(bpe()).encode("a", add_bos=True)


def test_end_ids():
    def ends(*extra, **keys):
        return build(bpe(*extra, **keys)).end_ids

    assert ends() == frozenset()
    assert ends(("x", NORMAL), ("y", NORMAL), ("z", NORMAL), eos_token_id=256, eot_token_id=257, eom_token_id=258) == {
        256,
        257,
        258,
    }
    assert ends(("<|im_end|>", CONTROL), ("<|end|>", USER), ("<|eot_id|>", NORMAL), ("<|user|>", CONTROL)) == {256, 257}
    # gpt-oss closes parts of a reply with <|end|>
    assert ends(("<|end|>", CONTROL), ("<|return|>", CONTROL), ("<|call|>", CONTROL)) == {257, 258}


def test_composing_text_is_the_files_choice():
    decomposed, composed = "e\u0301", "\u00e9"
    assert build(bpe()).encode(decomposed) != build(bpe()).encode(composed)
    nfc = build(bpe() | {"ollamax.tokenizer.normalizer": "nfc"})
    assert nfc.encode(decomposed) == nfc.encode(composed)


WORDS = (("▁", NORMAL), ("a", NORMAL), ("b", NORMAL), ("▁a", NORMAL), ("ab", NORMAL), ("<u>", USER))


def test_spaces_of_sentencepiece():
    def spelled(text: str, **keys) -> list[str]:
        tokenizer = build(spm(*WORDS, add_bos_token=False) | keys)
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids, special=True) == text
        return [tokenizer.token_text(token) for token in ids]

    assert spelled("a<s>a<u>a") == ["▁a", "<s>", "▁a", "<u>", "▁a"]
    assert spelled(" a") == ["▁", "▁a"]
    once = {"ollamax.tokenizer.space_after_special": False}
    assert spelled("a</s>a<u> a", **once) == ["▁a", "</s>", "a", "<u>", "▁a"]
    never = {"tokenizer.ggml.add_space_prefix": False}
    assert spelled("a<s> ab", **never) == ["a", "<s>", "▁a", "b"]


def test_sentencepiece_defaults():
    tokenizer = build(spm(*WORDS))
    assert (tokenizer.bos, tokenizer.eos, tokenizer.end_ids) == (1, 2, {2})
    assert tokenizer.encode("a")[0] == 1
    assert tokenizer.encode("é", add_bos=False)[1:] == [3 + byte for byte in "é".encode()]
    assert tokenizer.encode("<0x41>", add_bos=False) != [3 + 0x41]


def test_sentencepiece_without_bytes():
    tokenizer = build(spm(*WORDS, spelled=False))
    assert tokenizer.encode("é", add_bos=False)[-1] == 0
    metadata = spm(*WORDS, spelled=False)
    metadata["tokenizer.ggml.token_type"][0] = CONTROL
    tokenizer = build(metadata)
    assert tokenizer.decode(tokenizer.encode("ab", add_bos=False)) == "ab"
    with pytest.raises(TokenizerError, match="no piece, no bytes and no unknown token"):
        tokenizer.encode("é")


def test_two_unknown_tokens_are_no_error():
    tokenizer = build(spm(*WORDS, ("<unk2>", UNKNOWN)))
    assert tokenizer.decode(tokenizer.encode("a b", add_bos=False)) == "a b"


def test_the_hook_imports_no_heavy_library():
    code = (
        "import sys; from ollamax.tokenizer.plugin import ollamax_tokenizers; ollamax_tokenizers(); "
        "print([name for name in ('numpy', 'tokenizers', 'sentencepiece', 'gguf') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
