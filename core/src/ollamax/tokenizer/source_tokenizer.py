"""The tokenizer of a Hugging Face directory as its own library runs it, to compare ours with."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ollamax.errors import CheckpointError
from ollamax.json_file import read_bytes, read_optional
from ollamax.tokenizer.added_tokens import ADDED, CONFIG, TOKENIZER, AddedToken, added_tokens
from ollamax.tokenizer.sentencepiece_model import parse_model, without_prefix
from ollamax.tokenizer.special_ids import SpecialIds
from ollamax.tokenizer.vocabulary import TokenType

if TYPE_CHECKING:
    import sentencepiece
    import tokenizers

_MODEL = "tokenizer.model"
# The classes of transformers that run tokenizer.json as it stands; all others build a tokenizer of their own.
_GENERIC = ("PreTrainedTokenizerFast", "TokenizersBackend")


class SourceTokenizer(Protocol):
    """Gives the ids that the checkpoint's own files give; ``path`` is the file that was read."""

    path: Path

    def encode(self, text: str) -> list[int]:
        """Ids of ``text`` with special tokens recognised, and without any around it."""


def open_source_tokenizer(directory: Path) -> SourceTokenizer:
    """The tokenizer in ``directory``: ``tokenizers`` runs tokenizer.json, else ``sentencepiece`` tokenizer.model.

    Raises CheckpointError for what its library cannot read.
    """
    content, config = read_optional(directory / TOKENIZER), read_optional(directory / CONFIG)
    added = added_tokens(directory, content, config, read_optional(directory / ADDED)).values()
    special = SpecialIds(directory, config).texts - {token.text for token in added}
    if content:
        return _Described(directory / TOKENIZER, content, config, added, special)
    return _SentencePiece(directory / _MODEL, config, added, special)


class _Described:
    """tokenizer.json in the ``tokenizers`` library, with the tokens that only the files beside it know."""

    def __init__(
        self,
        path: Path,
        content: Mapping[str, Any],
        config: Mapping[str, Any],
        added: Iterable[AddedToken],
        special: Iterable[str],
    ) -> None:
        from tokenizers import AddedToken as Added
        from tokenizers import Tokenizer

        self.path = path
        entries = content.get("added_tokens") or []
        if config.get("tokenizer_class") not in _GENERIC:
            # Of a normalized token the library looks for the normalised text, "▁<s>". transformers' own classes do not.
            entries = [{**entry, "normalized": False} for entry in entries]
        plain = {**content, "added_tokens": entries, "truncation": None, "padding": None}
        try:
            self._library: tokenizers.Tokenizer = Tokenizer.from_str(json.dumps(plain))
        except Exception as error:  # the library raises nothing narrower
            raise CheckpointError(path, f"the tokenizers library cannot read it: {error}") from error
        known = {entry["content"] for entry in entries}
        for token in sorted(added, key=lambda token: token.token):
            if token.text not in known:
                new = Added(token.text, lstrip=token.lstrip, rstrip=token.rstrip, normalized=False)
                add = self._library.add_special_tokens if token.special else self._library.add_tokens
                add([new])
        # Those that the vocabulary has and no file lists as added.
        named = [text for text in special if self._library.token_to_id(text) is not None]
        self._library.add_special_tokens([Added(text, normalized=False) for text in named])

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._library.encode(text, add_special_tokens=False).ids
        return ids


class _SentencePiece:
    """tokenizer.model in the ``sentencepiece`` library, with special tokens cut out of the text before."""

    def __init__(
        self, path: Path, config: Mapping[str, Any], added: Iterable[AddedToken], special: Collection[str]
    ) -> None:
        self.path = path
        data = read_bytes(path)
        self._cut = {
            piece.text: AddedToken(token, piece.text)
            for token, piece in enumerate(parse_model(data).pieces)
            if piece.type in (TokenType.CONTROL, TokenType.UNKNOWN) or piece.text in special
        }
        self._cut |= {token.text: token for token in added}
        texts = sorted(self._cut, key=len, reverse=True)
        self._pattern = re.compile(f"({'|'.join(map(re.escape, texts))})")
        self._first = self._load(data)
        # Without "legacy", transformers puts the space before the whole text only.
        self._later = self._first if config.get("legacy") is True else self._load(without_prefix(data))

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        parts = self._pattern.split(text)  # text and special tokens in turn
        for index in range(0, len(parts), 2):
            part = parts[index]
            if index and self._cut[parts[index - 1]].rstrip:
                part = part.lstrip()
            if index + 1 < len(parts) and self._cut[parts[index + 1]].lstrip:
                part = part.rstrip()
            ids += (self._later if index else self._first).encode(part)
            ids += [self._cut[special].token for special in parts[index + 1 : index + 2]]
        return ids

    def _load(self, data: bytes) -> sentencepiece.SentencePieceProcessor:
        import sentencepiece

        processor = sentencepiece.SentencePieceProcessor()
        try:
            processor.LoadFromSerializedProto(data)
        except Exception as error:  # the library raises nothing narrower
            raise CheckpointError(self.path, f"the sentencepiece library cannot read it: {error}") from error
        return processor
