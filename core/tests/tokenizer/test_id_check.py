"""A converted tokenizer is compared with the one that it was made of."""

import json
import shutil

import pytest
from tokenizer_directory import change, loaded, spm_directory, spoil, train_corpus

from ollamax.errors import CheckpointError
from ollamax.tokenizer import id_check
from ollamax.tokenizer.sample_texts import SAMPLE_TEXTS, sample_texts

pytestmark = pytest.mark.reference

PREPEND = {
    "type": "Sequence",
    "normalizers": [
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    ],
}


def check_ids(directory, tokenizer):
    id_check.check_ids(directory, tokenizer.metadata, tokenizer)


def refused(directory, path, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        check_ids(directory, loaded(directory))
    assert str(caught.value).startswith(f"{directory / path}, ids: the text '")
    assert str(caught.value).isascii()
    assert "\n" not in str(caught.value)


def older(converted, directory, tokenizer_class, normalized):
    """A copy of a converted directory, as transformers 4 wrote it: with Prepend, and no Metaspace."""
    shutil.copytree(converted, directory)

    def edit(content):
        content.update(normalizer=PREPEND, pre_tokenizer=None)
        for token in content["added_tokens"]:
            token["normalized"] = normalized

    change(directory / "tokenizer_config.json", tokenizer_class=tokenizer_class)
    return spoil(directory, edit)


@pytest.mark.parametrize("name", ["llama-bpe", "qwen2", "gpt-2", "starcoder", "gpt-4o"])
def test_byte_level_directories_pass(byte_levels, name):
    check_ids(byte_levels[name], loaded(byte_levels[name]))


@pytest.mark.parametrize("name", ["first", "always", "converted"])
def test_sentencepiece_directories_pass(spm_directories, sentencepiece_model, tmp_path, name):
    directory = shutil.copytree(spm_directories[name], tmp_path / "model")
    check_ids(directory, loaded(directory))
    shutil.copy(sentencepiece_model, directory)
    check_ids(directory, loaded(directory))


@pytest.mark.parametrize(
    ("tokenizer_class", "normalized"),
    [("LlamaTokenizer", False), ("LlamaTokenizerFast", True), (None, True), ("PreTrainedTokenizerFast", False)],
)
def test_older_directories_pass(spm_directories, tmp_path, tokenizer_class, normalized):
    directory = older(spm_directories["converted"], tmp_path / "model", tokenizer_class, normalized)
    check_ids(directory, loaded(directory))


def test_tokens_that_are_normalized_before_they_are_looked_for(spm_directories, tmp_path):
    import transformers

    directory = older(spm_directories["converted"], tmp_path / "model", "PreTrainedTokenizerFast", True)
    ours, theirs = loaded(directory), transformers.AutoTokenizer.from_pretrained(directory)
    assert ours.encode("a<s>b", add_bos=False) != theirs.encode("a<s>b", add_special_tokens=False)
    refused(directory, "tokenizer.json", r"'<unk>at the start,inside.*\.\.\.' becomes other ids .* at position 1, not")


def test_tokens_of_the_small_files_and_settings_of_encode(byte_levels, tmp_path):
    directory = shutil.copytree(byte_levels["qwen2"], tmp_path / "model")
    count = loaded(directory).n_vocab
    change(directory / "added_tokens.json", **{"<plain>": count})
    extra = {"content": "<turn>", "special": True, "lstrip": True, "rstrip": True}
    change(directory / "tokenizer_config.json", added_tokens_decoder={str(count + 1): extra})
    cut = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    spoil(directory, lambda content: content.update(truncation=cut))
    check_ids(directory, loaded(directory))
    tokens = [token.text for token in added(directory)]
    assert {"<plain>", "<turn>", "<tool>", "<mask>"} <= set(tokens)


def test_special_tokens_that_no_file_lists_as_added(byte_levels, tmp_path):
    import transformers

    directory = shutil.copytree(byte_levels["qwen2"], tmp_path / "bytes")

    def forget(content):
        content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] != "<|end|>"]

    spoil(directory, forget)
    model = train_corpus(tmp_path, user_defined_symbols=["<tool>"])
    pieces = spm_directory(model, tmp_path / "pieces", legacy=False, additional_special_tokens=["<tool>"])
    for each, token in ((directory, "<|end|>"), (pieces, "<tool>")):
        ours, theirs = loaded(each), transformers.AutoTokenizer.from_pretrained(each)
        assert ours.encode(f"a{token}b", add_bos=False) == theirs.encode(f"a{token}b", add_special_tokens=False)
        assert ours.decode(ours.encode(token, add_bos=False)) == ""
        check_ids(each, ours)


def added(directory):
    from ollamax.tokenizer.added_tokens import added_tokens

    files = ("tokenizer.json", "tokenizer_config.json", "added_tokens.json")
    return added_tokens(directory, *(json.loads((directory / name).read_text()) for name in files)).values()


def test_a_sentencepiece_token_that_takes_the_first_space(tmp_path):
    model = train_corpus(tmp_path, user_defined_symbols=["▁▁▁", "fox"])
    directory = spm_directory(model, tmp_path / "model", legacy=False)
    refused(directory, "tokenizer.model", r"'   three before, three behind   ' becomes other ids .* at position 1, not")


def test_a_tokenizer_that_gives_fewer_ids(byte_levels):
    directory = byte_levels["llama-bpe"]
    ours = loaded(directory)
    ours.encode_plain = lambda text, start: []
    with pytest.raises(
        CheckpointError, match=r"the text ' ' becomes other ids .*: none at position 0, not \d+ \('\\u0120'\)"
    ):
        check_ids(directory, ours)


def test_a_library_that_cannot_read_its_file(byte_levels, tmp_path):
    directory = shutil.copytree(byte_levels["llama-bpe"], tmp_path / "model")
    spoil(directory, lambda content: content.update(decoder={"type": "Nothing"}))
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: the tokenizers library cannot read it"):
        check_ids(directory, loaded(directory))


def test_the_texts_are_fixed_and_bounded():
    assert len(set(SAMPLE_TEXTS)) == len(SAMPLE_TEXTS)
    tokens = [f"<{number}>" for number in range(5000)]
    texts = list(sample_texts(tokens))
    assert texts[: len(SAMPLE_TEXTS)] == list(SAMPLE_TEXTS)
    assert len(texts) == len(SAMPLE_TEXTS) + 128
    assert texts[-1].startswith("<4999>at the start,inside<4999><4999>it <4999> between")
