"""A vocabulary while it is collected from a checkpoint's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ollamax.errors import CheckpointError
from ollamax.tokenizer.vocabulary import TokenType

# More tokens than any known model has.
MAX_TOKENS = 1 << 22
_PAD_SCORE = -10000.0


class TokenTable:
    """Tokens by id; nothing is allocated for an id until the whole table is known to be dense.

    ``path`` is the file or directory that errors name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: dict[int, tuple[str, TokenType, float]] = {}
        self.ids: dict[str, int] = {}

    def add(self, token: Any, text: Any, kind: TokenType, score: float = 0.0) -> None:
        """Enter one token; CheckpointError unless it has a new id below ``MAX_TOKENS`` and a new, valid text."""
        where = f"token {text!a:.60}"
        if not isinstance(token, int) or isinstance(token, bool) or not 0 <= token < MAX_TOKENS:
            raise CheckpointError(self.path, f"id {token!a:.30}; a number below {MAX_TOKENS} was expected", where)
        if not isinstance(text, str) or not _is_unicode(text):
            raise CheckpointError(self.path, "the text is no Unicode string", where)
        if token in self._rows:
            raise CheckpointError(self.path, f"has id {token}, which is {self._rows[token][0]!a:.60}", where)
        if text in self.ids:
            raise CheckpointError(self.path, f"has the ids {self.ids[text]} and {token}", where)
        self._rows[token] = (text, kind, score)
        self.ids[text] = token

    def mark(self, token: Any, text: Any, kind: TokenType) -> None:
        """Enter an added token, or give the token of that id and text this type."""
        if isinstance(token, int) and token in self._rows and self._rows[token][0] == text:
            self._rows[token] = (text, kind, self._rows[token][2])
        else:
            self.add(token, text, kind)

    def kind(self, token: int) -> TokenType | None:
        """The type of a token, None if there is no such id yet."""
        row = self._rows.get(token)
        return row[1] if row else None

    def columns(self, n_vocab: int | None) -> dict[str, Any]:
        """The GGUF keys of the vocabulary, padded to ``n_vocab`` tokens with unused ``[PAD{id}]`` as in llama.cpp.

        Without ``n_vocab`` the ids must be dense. CheckpointError when the model has fewer rows than there are tokens.
        """
        count = max(self._rows, default=-1) + 1
        if not count:
            raise CheckpointError(self.path, "the vocabulary is empty")
        if n_vocab is None and count != len(self._rows):
            hole = next(token for token in range(count) if token not in self._rows)
            raise CheckpointError(self.path, f"no token has id {hole}, and ids go up to {count - 1}")
        if n_vocab is not None and not count <= n_vocab <= MAX_TOKENS:
            problem = f"token {self._rows[count - 1][0]!a:.60} has id {count - 1}, but the model has {n_vocab} rows"
            raise CheckpointError(self.path, problem)
        rows = [self._rows.get(token) or self._padding(token) for token in range(n_vocab or count)]
        return {
            "tokenizer.ggml.tokens": [text for text, _, _ in rows],
            "tokenizer.ggml.scores": [score for _, _, score in rows],
            "tokenizer.ggml.token_type": [int(kind) for _, kind, _ in rows],
        }

    def _padding(self, token: int) -> tuple[str, TokenType, float]:
        text = f"[PAD{token}]"
        if text in self.ids:
            raise CheckpointError(self.path, f"id {token} needs the text {text}, which is token {self.ids[text]}")
        return text, TokenType.UNUSED, _PAD_SCORE


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
