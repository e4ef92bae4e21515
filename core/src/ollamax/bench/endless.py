"""A tokenizer without tokens that end an answer."""

from __future__ import annotations

from ollamax.tokenizer.base import Tokenizer


class Endless(Tokenizer):
    """``inner`` for answers of a set length: a model may well answer random ids with an end token at once."""

    def __init__(self, inner: Tokenizer) -> None:
        super().__init__(inner.metadata, inner.pre_tokenizers)
        self._inner = inner

    @property
    def n_vocab(self) -> int:
        """As of the inner one."""
        return self._inner.n_vocab

    @property
    def bos(self) -> int | None:
        """As of the inner one."""
        return self._inner.bos

    @property
    def eos(self) -> int | None:
        """As of the inner one."""
        return self._inner.eos

    @property
    def end_ids(self) -> frozenset[int]:
        """None."""
        return frozenset()

    def encode(self, text: str, add_bos: bool | None = None, parse_special: bool = True) -> list[int]:
        """As of the inner one."""
        return self._inner.encode(text, add_bos, parse_special)

    def token_bytes(self, token: int, special: bool = False) -> bytes:
        """As of the inner one."""
        return self._inner.token_bytes(token, special)

    def token_text(self, token: int) -> str:
        """As of the inner one."""
        return self._inner.token_text(token)

    def adds_space_after(self, previous: int | None) -> bool:
        """As of the inner one."""
        return self._inner.adds_space_after(previous)
