"""Hugging Face directories that hold nothing but a small tokenizer."""

import json
import shutil
from pathlib import Path
from typing import Any

from small_tokenizer import train_sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from ollamax.gguf import open_gguf, write_gguf
from ollamax.tokenizer import build_tokenizer
from ollamax.tokenizer.base import PreTokenizer
from ollamax.tokenizer.huggingface import tokenizer_metadata
from ollamax.tokenizer.plugin import ollamax_tokenizers
from ollamax.tokenizer.pretokenizers import PRE_TOKENIZERS

CORPUS = [
    "The quick brown fox jumps over the lazy dog, and the fox's den isn't far: 12345 steps.",
    "She said: I'll go, you'll stay; we've 100 apples and 2,000 pears!\n\n    def f(x):\n        return x + 1\n",
    "Der Bär läuft über die Brücke. Él comió piñas. Наша кошка спит. 我们想要苹果。",
    "aaaa bbbb abab ababab aaaaaa      spaces        and\ttabs\r\n",
] * 8


def byte_level(directory: Path, found: type[PreTokenizer], normalizer: object = None, **options) -> Path:
    """Train a byte-level BPE tokenizer and save it as transformers does."""
    import transformers

    tokenizer = Tokenizer(models.BPE(ignore_merges=found.ignore_merges))
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in found.patterns]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.normalizer = normalizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=alphabet, special_tokens=["<|begin|>", "<|end|>"], show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_tokens([AddedToken("<tool>", normalized=False)])
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, rstrip=True)])
    if found.add_bos:
        begin = ("<|begin|>", tokenizer.token_to_id("<|begin|>"))
        tokenizer.post_processor = processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[begin])
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|begin|>", eos_token="<|end|>", **options
    )
    fast.save_pretrained(directory)
    return directory


def train_corpus(root: Path, **options) -> Path:
    """A SentencePiece model of the corpus."""
    lines = [line for entry in CORPUS for line in entry.splitlines() if line]
    return train_sentencepiece(root, lines, 480, **options)


def spm_directory(model: Path, directory: Path, **config) -> Path:
    directory.mkdir()
    shutil.copy(model, directory / "tokenizer.model")
    config = {
        "tokenizer_class": "LlamaTokenizer",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
    } | config
    (directory / "tokenizer_config.json").write_text(json.dumps(config))
    (directory / "config.json").write_text(json.dumps({"model_type": "llama"}))
    return directory


def loaded(directory: Path, through: Path | None = None):
    metadata = tokenizer_metadata(directory, PRE_TOKENIZERS)
    if through is not None:
        write_gguf(through, {"general.architecture": "none", **metadata}, [], dict[str, Any]().__getitem__)
        with open_gguf(through) as file:
            metadata = dict(file.metadata)
    return build_tokenizer(metadata, ollamax_tokenizers())


def change(path: Path, **values) -> None:
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(content | values))


def spoil(directory: Path, edit) -> Path:
    path = directory / "tokenizer.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    return directory
