"""Tokenizers of a few hundred tokens as Hugging Face directories have them, made without transformers."""

import json
from collections.abc import Iterable
from pathlib import Path

import tokenizers

# The splits of Llama 3's and Qwen2's tokenizer.json, from their published files.
LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
SPECIAL = ("<|begin_of_text|>", "<|end_of_text|>")
SENTENCE = "the cat sat on the mat and then the cat ran after the other cat"


def save_byte_level(directory: Path, pattern: str) -> int:
    """Write a tokenizer of all bytes and a few merges, which cuts text by ``pattern``; returns the number of tokens."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    split = tokenizers.pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated")
    bytewise = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([split, bytewise])
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=318,
        special_tokens=list(SPECIAL),
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([SENTENCE] * 4, trainer)
    tokenizer.save(str(directory / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": SPECIAL[0], "eos_token": SPECIAL[1]}
    (directory / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return int(tokenizer.get_vocab_size())


def train_sentencepiece(directory: Path, lines: Iterable[str], tokens: int, **options: object) -> Path:
    """Write a model of ``tokens`` pieces trained on ``lines``, with Llama 2's settings; returns its path."""
    import sentencepiece

    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(lines),
        model_prefix=str(directory / "tokenizer"),
        model_type="bpe",
        vocab_size=tokens,
        character_coverage=1.0,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        minloglevel=2,
        **options,
    )
    return directory / "tokenizer.model"


def save_sentencepiece(directory: Path) -> int:
    """Write a SentencePiece model with byte pieces, as Llama 2 has one; returns the number of tokens."""
    import sentencepiece

    train_sentencepiece(directory, [SENTENCE, "Der Bär läuft über 12 Brücken", "spaces   and 345 digits"] * 4, 340)
    # "legacy" puts a space before text behind a special token, as llama.cpp always does.
    config = {"tokenizer_class": "LlamaTokenizer", "legacy": True, "bos_token": "<s>", "eos_token": "</s>"}
    (directory / "tokenizer_config.json").write_text(json.dumps(config | {"unk_token": "<unk>"}), encoding="utf-8")
    return int(sentencepiece.SentencePieceProcessor(model_file=str(directory / "tokenizer.model")).get_piece_size())
