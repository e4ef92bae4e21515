"""From the tokenizer files of a Hugging Face directory to GGUF's ``tokenizer.*`` keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ollamax.errors import CheckpointError
from ollamax.json_file import read_bytes, read_optional, typed
from ollamax.tokenizer.added_tokens import AddedToken, added_tokens
from ollamax.tokenizer.base import PreTokenizer
from ollamax.tokenizer.byte_piece import BYTE_PIECES
from ollamax.tokenizer.chat_template_files import chat_templates
from ollamax.tokenizer.merge_scores import merge_scores
from ollamax.tokenizer.sentencepiece_model import SPACE, Piece, parse_model
from ollamax.tokenizer.space_rule import SpaceRule, space_rule
from ollamax.tokenizer.special_ids import SpecialIds
from ollamax.tokenizer.token_table import TokenTable
from ollamax.tokenizer.tokenizer_json import TokenizerJson
from ollamax.tokenizer.vocabulary import TokenType

_SCORES = "tokenizer.ggml.scores"


def tokenizer_metadata(
    directory: Path, pre_tokenizers: Iterable[type[PreTokenizer]], n_vocab: int | None = None
) -> dict[str, Any]:
    """The GGUF keys of the tokenizer and the chat templates in ``directory``.

    tokenizer.json with a byte-level BPE model, tokenizer.model (SentencePiece BPE), or a tokenizer.json that was
    converted from one are read, in this order, with the small files beside them. The pre-tokenizer is the class whose
    patterns and ``ignore_merges`` are those of tokenizer.json. ``n_vocab`` is the number of rows of the embedding.
    Raises CheckpointError naming the file: what is malformed, or would give other ids than the checkpoint's own.
    """
    config = read_optional(directory / "tokenizer_config.json")
    content = read_optional(directory / "tokenizer.json")
    added = added_tokens(directory, content, config, read_optional(directory / "added_tokens.json"))
    special = SpecialIds(directory, config)
    described = TokenizerJson(directory / "tokenizer.json", content) if content else None
    if described and described.byte_level:
        table, metadata = _byte_level(described, tuple(pre_tokenizers))
    else:
        marked = special.texts | {token.text for token in added.values()}
        table, metadata = _sentencepiece(directory, described, config, marked)
    for token in added.values():
        table.mark(token.token, token.text, _type(table, token, token.special or token.text in special.texts))
    for text in special.texts & table.ids.keys():
        # Where no file lists it as added, it is cut out of the text all the same, as transformers does.
        if table.ids[text] not in added and table.kind(table.ids[text]) is not TokenType.UNKNOWN:
            table.mark(table.ids[text], text, TokenType.CONTROL)
    columns = table.columns(n_vocab)
    if metadata["tokenizer.ggml.model"] == "gpt2":
        del columns[_SCORES]
    metadata |= columns
    metadata |= special.metadata(table.ids, len(columns["tokenizer.ggml.tokens"]))
    metadata |= _frame(directory, described, config, metadata)
    for side in ("lstrip", "rstrip"):
        if ids := sorted(token.token for token in added.values() if getattr(token, side)):
            metadata[f"ollamax.tokenizer.{side}_ids"] = ids
    return metadata | chat_templates(directory, config)


def _byte_level(
    described: TokenizerJson, pre_tokenizers: tuple[type[PreTokenizer], ...]
) -> tuple[TokenTable, dict[str, Any]]:
    table = TokenTable(described.path)
    for text, token in described.vocab.items():
        table.add(token, text, TokenType.NORMAL)
    metadata: dict[str, Any] = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": _recognised(described, pre_tokenizers),
        "tokenizer.ggml.merges": [f"{left} {right}" for left, right in described.merges],
    }
    if described.composes():
        metadata["ollamax.tokenizer.normalizer"] = "nfc"
    return table, metadata


def _recognised(described: TokenizerJson, pre_tokenizers: tuple[type[PreTokenizer], ...]) -> str:
    patterns = tuple(map(_canonical, described.patterns()))
    for found in pre_tokenizers:
        same = tuple(map(_canonical, found.patterns)) == patterns
        if same and found.ignore_merges == described.ignore_merges:
            return found.names[0]
    flag = " with ignore_merges" if described.ignore_merges else ""
    raise CheckpointError(
        described.path,
        f"no plugin provides a pre-tokenizer with the patterns {patterns!a}{flag}; a package adds one by returning a "
        'PreTokenizer subclass from the hook ollamax_tokenizers, see "Adding a pre-tokenizer" in docs/tokenizers.md',
        where="pre_tokenizer",
    )


def _canonical(pattern: str) -> str:
    """One spelling of line breaks, which some files write as characters and some as escapes."""
    return pattern.replace("\r", r"\r").replace("\n", r"\n").replace("\t", r"\t")


def _sentencepiece(
    directory: Path, described: TokenizerJson | None, config: dict[str, Any], added: set[str]
) -> tuple[TokenTable, dict[str, Any]]:
    path = directory / "tokenizer.model"
    if path.exists():
        try:
            model = parse_model(read_bytes(path))
        except ValueError as error:
            raise CheckpointError(path, str(error)) from error
        pieces, rule = dict(enumerate(model.pieces)), SpaceRule(model.add_dummy_prefix, config.get("legacy") is True)
        if described:
            _check_same(path, pieces, described, added)
    elif described:
        path = described.path
        pieces, rule = _converted_pieces(described, added), space_rule(described)
    else:
        raise CheckpointError(directory, "no tokenizer; looked for tokenizer.json and tokenizer.model")
    table = TokenTable(path)
    for token, piece in pieces.items():
        plain = piece.type is TokenType.USER_DEFINED
        table.add(token, piece.text.replace(SPACE, " ") if plain else piece.text, piece.type, piece.score)
    if described:  # what transformers and the tokenizers library read where both files are there
        rule = space_rule(described)
    return table, {"tokenizer.ggml.model": "llama", "tokenizer.ggml.pre": "default", **rule.metadata()}


def _check_same(path: Path, pieces: Mapping[int, Piece], described: TokenizerJson, added: set[str]) -> None:
    """Raise CheckpointError where tokenizer.json has a token that tokenizer.model has not, or under another id."""
    for text, token in described.vocab.items():
        if text not in added and (token not in pieces or pieces[token].text != text):
            problem = (
                f"id {token} is not {text!a:.60}, as {described.path.name} says; remove the file that is out of date"
            )
            raise CheckpointError(path, problem)


def _converted_pieces(described: TokenizerJson, added: set[str]) -> dict[int, Piece]:
    """The pieces of a tokenizer.json that was converted from a SentencePiece BPE model.

    Merges of ``added`` tokens do not count, for their texts are cut out before anything is merged.
    """
    path, vocab = described.path, described.vocab
    if not described.model.get("byte_fallback") or described.ignore_merges or not vocab.keys() >= set(BYTE_PIECES):
        raise CheckpointError(
            path,
            "neither a byte-level model nor one converted from SentencePiece (byte_fallback with all 256 bytes, "
            "without ignore_merges); add the checkpoint's tokenizer.model if there is one",
            where="model",
        )
    merges = [(left, right) for left, right in described.merges if not added & {left, right, left + right}]
    try:
        scores = merge_scores(merges, vocab.keys() - added - set(BYTE_PIECES))
    except ValueError as error:
        problem = f"not converted from a SentencePiece model, for {error}; tokenizer.model would help"
        raise CheckpointError(path, problem, where="model.merges") from error
    unknown = described.model.get("unk_token")
    kinds = dict.fromkeys(BYTE_PIECES, TokenType.BYTE) | {unknown: TokenType.UNKNOWN}
    return {
        typed(path, token, int, "model.vocab"): Piece(text, scores.get(text, 0.0), kinds.get(text, TokenType.NORMAL))
        for text, token in vocab.items()
    }


def _type(table: TokenTable, added: AddedToken, special: bool) -> TokenType:
    if table.kind(added.token) is TokenType.UNKNOWN:
        return TokenType.UNKNOWN
    return TokenType.CONTROL if special else TokenType.USER_DEFINED


def _frame(
    directory: Path, described: TokenizerJson | None, config: dict[str, Any], metadata: dict[str, Any]
) -> dict[str, bool]:
    """Whether bos and eos go around a text: tokenizer_config.json says it, else tokenizer.json's template.

    Where the vocabulary has no bos, a wish for it counts for nothing, as in transformers.
    """
    frame = described.frame() if described else None
    result = {}
    for index, name in enumerate(("bos", "eos")):
        key = f"add_{name}_token"
        token = metadata.get(f"tokenizer.ggml.{name}_token_id")
        text = None if token is None else metadata["tokenizer.ggml.tokens"][token]
        value = config.get(key)
        if value is None and frame is not None:
            value = frame[index] is not None
            if value and text != frame[index]:
                path = directory / "tokenizer.json"
                raise CheckpointError(path, f"{frame[index]!a:.60} is not {name}", where="post_processor")
        elif value is None:
            value = metadata["tokenizer.ggml.model"] == "llama" and name == "bos"
        wanted = typed(directory / "tokenizer_config.json", value, bool, key)
        result[f"tokenizer.ggml.{key}"] = wanted and token is not None
    return result
