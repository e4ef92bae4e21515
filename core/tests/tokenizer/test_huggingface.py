import re
import shutil
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizer_directory import CORPUS, change, loaded, spoil
from tokenizers import Tokenizer

from ollamax.errors import CheckpointError
from ollamax.tokenizer import build_tokenizer
from ollamax.tokenizer.base import PreTokenizer
from ollamax.tokenizer.huggingface import tokenizer_metadata
from ollamax.tokenizer.plugin import ollamax_tokenizers
from ollamax.tokenizer.pretokenizers import PRE_TOKENIZERS, Llama3, Qwen2

pytestmark = pytest.mark.reference

TEXTS = st.lists(
    st.one_of(
        st.text(max_size=6),
        st.sampled_from(["the", "fox", "jumps", " over", "lazy", "dog", "I'll", "'LL", "1234", "12", "abab", "aa"]),
        st.sampled_from(["é", "e\u0301", "ñ", "Кошка", "我们", "🦙", "\n", "\r\n", "\t"]),
        st.sampled_from([" ", "  ", "     ", "a", "ab", "\n\n"]),
        st.sampled_from(["<|begin|>", "<|end|>", "<s>", "</s>", "<tool>", "<mask>", "<unk>"]),
    ),
    max_size=14,
).map("".join)


@pytest.mark.parametrize("name", ["llama-bpe", "qwen2", "gpt-2", "starcoder", "gpt-4o"])
def test_byte_level_ids_are_those_of_transformers(byte_levels, name):
    import transformers

    ours = loaded(byte_levels[name])
    theirs = transformers.AutoTokenizer.from_pretrained(byte_levels[name])
    assert ours.metadata["tokenizer.ggml.pre"] == name

    @settings(max_examples=250, deadline=None)
    @given(text=TEXTS)
    def check(text):
        assert ours.encode(text) == theirs.encode(text)
        assert ours.encode(text, add_bos=False) == theirs.encode(text, add_special_tokens=False)
        ids = theirs.encode(text)
        assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        assert ours.decode(ids, True) == theirs.decode(ids, clean_up_tokenization_spaces=False)

    check()


@pytest.mark.parametrize("name", ["first", "always", "converted"])
def test_sentencepiece_ids_are_those_of_transformers(spm_directories, name):
    import transformers

    ours = loaded(spm_directories[name])
    theirs = transformers.AutoTokenizer.from_pretrained(spm_directories[name])

    @settings(max_examples=250, deadline=None)
    @given(text=TEXTS)
    @example(text=" the")
    @example(text="  the ▁fox")
    @example(text="▁the")
    @example(text=" <s> the</s> fox")
    def check(text):
        # transformers 5 leaves out the space before text that has one already. That is what a tokenizer.json with
        # Metaspace asks for, and not what SentencePiece makes of a tokenizer.model.
        if name != "converted":
            text = re.sub(r"(^|<s>|</s>|<unk>)[ ▁]+", r"\1", text)
        assert ours.encode(text) == theirs.encode(text)
        assert ours.encode(text, add_bos=False) == theirs.encode(text, add_special_tokens=False)

    check()


@pytest.mark.parametrize("name", ["first", "always", "converted"])
def test_sentencepiece_ids_are_those_of_sentencepiece(spm_directories, sentencepiece_model, name):
    import sentencepiece

    ours = loaded(spm_directories[name])
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(sentencepiece_model))

    @settings(max_examples=250, deadline=None)
    @given(text=TEXTS)
    def check(text):
        if name == "converted":  # to Metaspace, which puts no space before one
            text = text.lstrip(" ▁")
        assert ours.encode(text, add_bos=False, parse_special=False) == theirs.encode(text)

    check()


@pytest.mark.parametrize("name", ["first", "always", "converted"])
def test_sentencepiece_text_survives_the_round_trip(spm_directories, name):
    ours = loaded(spm_directories[name])

    @settings(max_examples=250, deadline=None)
    @given(text=TEXTS.map(lambda text: text.replace("▁", "").replace("<s>", "")))
    def check(text):
        if name == "converted":
            text = text.lstrip(" ")
        assert ours.decode(ours.encode(text, add_bos=False), special=True) == text

    check()


@pytest.mark.parametrize("scheme", ["always", "first", "never"])
def test_tokenizer_json_counts_beside_tokenizer_model(spm_directories, sentencepiece_model, tmp_path, scheme):
    import transformers

    directory = shutil.copytree(spm_directories["converted"], tmp_path / "model")
    shutil.copy(sentencepiece_model, directory)
    spoil(directory, lambda content: content["pre_tokenizer"].update(prepend_scheme=scheme))
    change(directory / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    ours, theirs = loaded(directory), transformers.AutoTokenizer.from_pretrained(directory)

    @settings(max_examples=100, deadline=None)
    @given(text=TEXTS)
    @example(text=" the")
    @example(text="a<s>the</s> fox")
    def check(text):
        assert ours.encode(text, add_bos=False) == theirs.encode(text, add_special_tokens=False)

    check()


@pytest.mark.parametrize("stale", ["other", "smaller"])
def test_a_tokenizer_model_of_another_vocabulary_is_refused(spm_directories, sentencepiece_model, tmp_path, stale):
    directory = shutil.copytree(spm_directories["converted"], tmp_path / "model")
    shutil.copy(sentencepiece_model, directory)
    loaded(directory)

    def edit(content):
        vocab = content["model"]["vocab"]
        first, second = (text for text, token in vocab.items() if token in (300, 301))
        vocab[first], vocab[second] = vocab[second], vocab[first]
        if stale == "smaller":
            vocab |= {first: 300, second: 301, "extra": len(vocab)}

    spoil(directory, edit)
    with pytest.raises(CheckpointError, match=r"tokenizer\.model: id \d+ is not '.+', as tokenizer\.json says; remove"):
        loaded(directory)


def test_a_directory_and_the_gguf_made_of_it_agree(byte_levels, spm_directories, tmp_path):
    for index, directory in enumerate([*byte_levels.values(), *spm_directories.values()]):
        direct, stored = loaded(directory), loaded(directory, tmp_path / f"{index}.gguf")
        for text in [*CORPUS[:4], "a <mask> b<tool>c <|end|>", ""]:
            assert direct.encode(text) == stored.encode(text)
        assert direct.end_ids == stored.end_ids
        assert (direct.bos, direct.eos, direct.n_vocab) == (stored.bos, stored.eos, stored.n_vocab)


@pytest.fixture
def directory(byte_levels, tmp_path) -> Path:
    """A copy of a byte-level directory, to be spoilt."""
    return shutil.copytree(byte_levels["llama-bpe"], tmp_path / "model")


def test_a_vocabulary_is_padded_to_the_rows_of_the_model(directory):
    plain = tokenizer_metadata(directory, PRE_TOKENIZERS)
    count = len(plain["tokenizer.ggml.tokens"])
    padded = tokenizer_metadata(directory, PRE_TOKENIZERS, n_vocab=count + 2)
    assert padded["tokenizer.ggml.tokens"][count:] == [f"[PAD{count}]", f"[PAD{count + 1}]"]
    assert padded["tokenizer.ggml.token_type"][count:] == [5, 5]
    tokenizer = build_tokenizer(padded, ollamax_tokenizers())
    assert tokenizer.n_vocab == count + 2
    assert tokenizer.decode([count]) == ""
    assert count not in tokenizer.encode(f"[PAD{count}]")
    with pytest.raises(CheckpointError, match=rf"has id {count - 1}, but the model has {count - 1} rows"):
        tokenizer_metadata(directory, PRE_TOKENIZERS, n_vocab=count - 1)


def test_all_end_ids_of_the_generation_config_count(directory):
    change(directory / "generation_config.json", eos_token_id=[1, 7])
    metadata = tokenizer_metadata(directory, PRE_TOKENIZERS)
    assert metadata["tokenizer.ggml.eos_token_id"] == 1
    assert build_tokenizer(metadata, ollamax_tokenizers()).end_ids == {1, 7}
    change(directory / "generation_config.json", eos_token_id=10**6)
    with pytest.raises(CheckpointError, match=r"generation_config\.json, eos_token_id: id 1000000 is not below"):
        tokenizer_metadata(directory, PRE_TOKENIZERS)


@pytest.mark.parametrize("nothing", [-1, 10**6, [-1]])
def test_a_padding_id_that_is_none_does_not_count(directory, nothing):
    change(directory / "tokenizer_config.json", pad_token="")
    change(directory / "generation_config.json", pad_token_id=nothing)
    assert "tokenizer.ggml.padding_token_id" not in tokenizer_metadata(directory, PRE_TOKENIZERS)
    change(directory / "generation_config.json", pad_token_id="none")
    with pytest.raises(CheckpointError, match=r"generation_config\.json, pad_token_id: 'none' is no int"):
        tokenizer_metadata(directory, PRE_TOKENIZERS)


def test_chat_templates(directory):
    key = "tokenizer.chat_template"
    config = directory / "tokenizer_config.json"
    assert key not in tokenizer_metadata(directory, PRE_TOKENIZERS)
    change(config, chat_template="plain")
    assert tokenizer_metadata(directory, PRE_TOKENIZERS)[key] == "plain"
    named = [{"name": "default", "template": "first"}, {"name": "tool_use", "template": "second"}]
    change(config, chat_template=named)
    metadata = tokenizer_metadata(directory, PRE_TOKENIZERS)
    assert (metadata[key], metadata[f"{key}.tool_use"]) == ("first", "second")
    assert metadata["tokenizer.chat_templates"] == ["tool_use"]
    (directory / "chat_template.jinja").write_text("a file ☃", encoding="utf-8")
    assert tokenizer_metadata(directory, PRE_TOKENIZERS)[key] == "a file ☃"
    (directory / "chat_template.jinja").write_bytes(b"caf\xe9")
    with pytest.raises(CheckpointError, match=r"chat_template\.jinja at offset 3: the template is no UTF-8 text"):
        tokenizer_metadata(directory, PRE_TOKENIZERS)


def test_the_configs_own_word_on_bos_wins(directory):
    change(directory / "tokenizer_config.json", add_bos_token=False)
    assert tokenizer_metadata(directory, PRE_TOKENIZERS)["tokenizer.ggml.add_bos_token"] is False


def test_a_wish_for_a_bos_that_does_not_exist_counts_for_nothing(byte_levels, tmp_path):
    import transformers

    directory = shutil.copytree(byte_levels["qwen2"], tmp_path / "model")
    change(directory / "tokenizer_config.json", add_bos_token=True, bos_token=None)
    ours, theirs = loaded(directory), transformers.AutoTokenizer.from_pretrained(directory)
    assert ours.bos is None
    assert ours.encode("the fox") == theirs.encode("the fox")


def test_tokens_that_only_the_small_files_know(directory):
    count = len(tokenizer_metadata(directory, PRE_TOKENIZERS)["tokenizer.ggml.tokens"])
    change(directory / "added_tokens.json", **{"<plain>": count})
    change(
        directory / "tokenizer_config.json",
        added_tokens_decoder={str(count + 1): {"content": "<turn>", "special": True}},
    )
    change(directory / "special_tokens_map.json", pad_token={"content": "<turn>"})
    metadata = tokenizer_metadata(directory, PRE_TOKENIZERS)
    assert metadata["tokenizer.ggml.tokens"][count:] == ["<plain>", "<turn>"]
    assert metadata["tokenizer.ggml.token_type"][count:] == [4, 3]
    assert metadata["tokenizer.ggml.padding_token_id"] == count + 1


def test_an_unknown_pre_tokenizer_is_named_with_its_patterns(directory):
    with pytest.raises(
        CheckpointError, match=r"tokenizer\.json, pre_tokenizer: no plugin .*\\\\p\{L\}.*ollamax_tokenizers"
    ):
        tokenizer_metadata(directory, [Qwen2])

    class Other(PreTokenizer):
        names = ("other",)
        patterns = Llama3.patterns
        ignore_merges = True

    assert tokenizer_metadata(directory, [Qwen2, Other])["tokenizer.ggml.pre"] == "other"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["model"].update(type="Unigram"), r"model: 'Unigram' models are not supported; BPE was expected"),
        (lambda c: c["model"].update(dropout=0.1), "model: dropout is not supported"),
        (lambda c: c["model"].update(end_of_word_suffix="</w>"), "end_of_word_suffix is not supported"),
        (lambda c: c["model"].update(vocab=[]), r"model\.vocab: \[\] is no dict"),
        (lambda c: c["model"].update(merges={}), r"model\.merges: \{\} is no list"),
        (lambda c: c["model"]["merges"].append(["a"]), r"\['a'\] is no pair of tokens"),
        (lambda c: c["model"]["merges"].append("a b c"), r"'a b c' is no pair of tokens"),
        (lambda c: c["model"]["vocab"].update(zzz=10**9), r"token 'zzz': id 1000000000; a number below"),
        (lambda c: c["model"]["vocab"].update(zzz=10**6), r"no token has id \d+, and ids go up to 1000000"),
        (lambda c: c["model"]["vocab"].update(zzz=-1), r"token 'zzz': id -1;"),
        (lambda c: c["model"]["vocab"].update(zzz=True), r"token 'zzz': id True;"),
        (lambda c: c["model"]["vocab"].update(zzz="1"), r"token 'zzz': id '1';"),
        (lambda c: c["model"]["vocab"].update(zzz=5), r"token 'zzz': has id 5, which is"),
        (lambda c: c["model"]["vocab"].update({"\ud800": 9000}), "the text is no Unicode string"),
        (lambda c: c["added_tokens"].append({"id": 5, "content": "<x>"}), r"token '<x>': has id 5, which is"),
        (
            lambda c: c["added_tokens"].append({"id": 0, "content": "<x>"}),
            r"id 0 is '<x>' here, '<\|begin\|>' elsewhere",
        ),
        (lambda c: c["added_tokens"].append({"id": "0", "content": "<x>"}), r"added token '<x>': '0' is no int"),
        (lambda c: c["added_tokens"].append({"id": 9000}), "an added token's content: None is no str"),
        (lambda c: c["added_tokens"][0].update(single_word=True), r"single_word is not supported"),
        (lambda c: c.update(normalizer={"type": "Lowercase"}), r"normalizer: \['Lowercase'\] is not supported"),
        (lambda c: c["pre_tokenizer"]["pretokenizers"][0].update(behavior="Removed"), "pre_tokenizer: .*Removed"),
        (lambda c: c["pre_tokenizer"]["pretokenizers"][1].update(add_prefix_space=True), "pre_tokenizer: ByteLevel as"),
        (lambda c: c["pre_tokenizer"]["pretokenizers"].reverse(), "pre_tokenizer: ByteLevel as the last step"),
        (lambda c: c["post_processor"].update(type="BertProcessing"), r"post_processor: \['BertProcessing'\]"),
        (lambda c: c["post_processor"]["single"][0]["SpecialToken"].update(id="<|end|>"), r"'<\|end\|>' is not bos"),
        (lambda c: c["model"]["vocab"].pop("Ā"), "pre_tokenizer: ByteLevel as the last step"),
        (lambda c: c.update(pre_tokenizer=None), "model: neither a byte-level model nor one converted from Sentence"),
        (lambda c: c.update(model=None), "model: None is no dict"),
    ],
)
def test_tokenizer_json_that_cannot_be_used(directory, edit, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        tokenizer_metadata(spoil(directory, edit), PRE_TOKENIZERS)
    assert "\n" not in str(caught.value)
    assert str(directory) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", b"{", "not valid JSON"),
        ("tokenizer.json", b"[]", "holds a JSON list; expected an object"),
        ("tokenizer.json", b'{"a": 1, "a": 2}', "key 'a': occurs twice"),
        ("tokenizer.json", b"\xff\xfe", "not valid JSON"),
        ("tokenizer.json", b'{"a":' * 100_000, "JSON nested too deeply"),
        ("tokenizer_config.json", {"bos_token": 5}, "bos_token: 5 is no str"),
        ("tokenizer_config.json", {"bos_token": "<nowhere>"}, "bos_token: '<nowhere>' is not in the vocabulary"),
        ("tokenizer_config.json", {"add_bos_token": "yes"}, "add_bos_token: 'yes' is no bool"),
        ("tokenizer_config.json", {"chat_template": 5}, "chat_template: 5 is no list"),
        ("tokenizer_config.json", {"added_tokens_decoder": {"x": {"content": "y"}}}, "'x' is no int"),
        ("added_tokens.json", {"<x>": 99999999999}, "id 99999999999; a number below"),
        ("special_tokens_map.json", {"additional_special_tokens": "x"}, "'x' is no list"),
    ],
)
def test_files_that_are_malformed(directory, name, content, message):
    if isinstance(content, bytes):
        (directory / name).write_bytes(content)
    else:
        change(directory / name, **content)
    with pytest.raises(CheckpointError, match=message) as caught:
        tokenizer_metadata(directory, PRE_TOKENIZERS)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_directory_without_a_tokenizer(tmp_path):
    with pytest.raises(CheckpointError, match=r"no tokenizer; looked for tokenizer\.json and tokenizer\.model"):
        tokenizer_metadata(tmp_path, PRE_TOKENIZERS)


def test_merges_that_sentencepiece_cannot_follow_are_refused(spm_directories, tmp_path):
    directory = shutil.copytree(spm_directories["converted"], tmp_path / "model")
    with pytest.raises(
        CheckpointError, match=r"model\.merges: not converted from a SentencePiece model, for the merges"
    ):
        tokenizer_metadata(spoil(directory, lambda content: content["model"]["merges"].pop()), PRE_TOKENIZERS)


@pytest.mark.parametrize("cut", [1, 5, 100, 1001])
def test_a_truncated_sentencepiece_model(spm_directories, tmp_path, cut):
    directory = shutil.copytree(spm_directories["first"], tmp_path / "model")
    path = directory / "tokenizer.model"
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(CheckpointError, match=r"tokenizer\.model: "):
        tokenizer_metadata(directory, PRE_TOKENIZERS)


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200))
def test_bytes_that_are_no_sentencepiece_model(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("noise") / "tokenizer.model"
    path.write_bytes(data)
    with pytest.raises(CheckpointError):
        tokenizer_metadata(path.parent, PRE_TOKENIZERS)


def test_an_older_tokenizer_json_is_read_as_the_library_reads_it(spm_directories, tmp_path):
    directory = shutil.copytree(spm_directories["converted"], tmp_path / "model")
    steps = [
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    ]
    spoil(directory, lambda c: c.update(normalizer={"type": "Sequence", "normalizers": steps}, pre_tokenizer=None))
    ours = loaded(directory)
    theirs = Tokenizer.from_file(str(directory / "tokenizer.json"))

    @settings(max_examples=250, deadline=None)
    @given(text=TEXTS)
    def check(text):
        assert ours.encode(text, add_bos=False) == theirs.encode(text, add_special_tokens=False).ids

    check()
