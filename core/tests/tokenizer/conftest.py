from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizer_directory import byte_level, spm_directory, train_corpus
from tokenizers import normalizers

from ollamax.gguf import open_gguf
from ollamax.tokenizer import Tokenizer, build_tokenizer
from ollamax.tokenizer.plugin import ollamax_tokenizers
from ollamax.tokenizer.pretokenizers import GPT2, GPT4o, Llama3, Qwen2, StarCoder

SHARED = Path(__file__).parents[4] / "shared" / "vocab"


@pytest.fixture(scope="session")
def shared_vocab() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"the vocabularies of ../shared/vocab are not here ({SHARED})")
    return SHARED


@pytest.fixture(scope="session")
def load(shared_vocab: Path) -> Callable[[str], Tokenizer]:
    """The tokenizer of a shared vocabulary, each opened once."""
    opened: dict[str, Tokenizer] = {}

    def by_name(name: str) -> Tokenizer:
        if name not in opened:
            with open_gguf(shared_vocab / f"{name}.gguf") as file:
                opened[name] = build_tokenizer(dict(file.metadata), ollamax_tokenizers())
        return opened[name]

    return by_name


@pytest.fixture(scope="session")
def byte_levels(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("byte-level")
    return {
        "llama-bpe": byte_level(root / "llama3", Llama3),
        "qwen2": byte_level(root / "qwen2", Qwen2, normalizers.NFC()),
        "gpt-2": byte_level(root / "gpt2", GPT2),
        "starcoder": byte_level(root / "starcoder", StarCoder),
        "gpt-4o": byte_level(root / "gpt4o", GPT4o),
    }


@pytest.fixture(scope="session")
def sentencepiece_model(tmp_path_factory) -> Path:
    return train_corpus(tmp_path_factory.mktemp("sentencepiece"))


@pytest.fixture(scope="session")
def spm_directories(tmp_path_factory, sentencepiece_model) -> dict[str, Path]:
    import transformers

    root = tmp_path_factory.mktemp("spm")
    first = spm_directory(sentencepiece_model, root / "first", add_bos_token=True, legacy=False)
    always = spm_directory(sentencepiece_model, root / "always", add_bos_token=True, legacy=True)
    # transformers saves only tokenizer.json: SentencePiece's vocabulary with merges in place of scores.
    converted = root / "converted"
    transformers.AutoTokenizer.from_pretrained(first).save_pretrained(converted)
    assert not (converted / "tokenizer.model").exists()
    return {"first": first, "always": always, "converted": converted}
