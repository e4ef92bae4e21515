"""SentencePiece models of a few hundred tokens as Hugging Face directories have them, made without transformers."""

import json
from collections.abc import Iterable
from pathlib import Path

from ollamax.testing.byte_level import SENTENCE


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
