"""The vocabulary of a GGUF file: tokens, their types and the special ids, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from functools import cached_property
from typing import Any

from ollamax.errors import TokenizerError
from ollamax.tokenizer.end_markers import end_markers

# Where the error messages of a tokenizer's metadata point; the tokenizer does not know the file's name.
ORIGIN = "tokenizer"


class TokenType(IntEnum):
    """What a token is, numbered as in ``tokenizer.ggml.token_type``."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


class Vocabulary:
    """Tokens by id, and what is special among them.

    ``tokens`` and ``types`` are parallel; a type that GGUF does not define counts as unused, as in llama.cpp.
    ``bos`` and ``eos`` lie inside the vocabulary or are None. ``add_bos`` and ``add_eos`` are the file's wishes.
    ``lstrip`` and ``rstrip`` are the tokens that swallow the white space before or after them.
    Raises GGUFError or TokenizerError naming the key at fault.
    """

    def __init__(self, metadata: Mapping[str, Any], add_bos: bool, defaults: Mapping[str, int] | None = None) -> None:
        """``add_bos`` and ``defaults`` (special ids such as ``bos``) stand for keys that the file leaves out."""
        from ollamax.gguf import Metadata

        self._metadata = Metadata(metadata, ORIGIN)
        self._defaults = defaults or {}
        self.tokens = self._metadata.strings("tokenizer.ggml.tokens")
        if not self.tokens:
            raise TokenizerError("tokenizer.ggml.tokens is empty; at least one token was expected")
        self.types = self._read_types()
        self.bos, self.eos = self._special_id("bos"), self._special_id("eos")
        self.add_bos = self._metadata.flag("tokenizer.ggml.add_bos_token", add_bos)
        self.add_eos = self._metadata.flag("tokenizer.ggml.add_eos_token", False)
        for wanted, token, name in ((self.add_bos, self.bos, "bos"), (self.add_eos, self.eos, "eos")):
            if wanted and token is None:
                raise TokenizerError(
                    f"the file wants text with {name} (tokenizer.ggml.add_{name}_token), "
                    f"but has no tokenizer.ggml.{name}_token_id"
                )
        self.lstrip = self._ids("ollamax.tokenizer.lstrip_ids")
        self.rstrip = self._ids("ollamax.tokenizer.rstrip_ids")

    def __len__(self) -> int:
        return len(self.tokens)

    def check(self, token: int) -> int:
        """``token`` itself; raises TokenizerError when the vocabulary has no such id."""
        if not 0 <= token < len(self.tokens):
            raise TokenizerError(f"token id {token} is not in the vocabulary of {len(self.tokens)} tokens")
        return token

    def framed(self, ids: list[int], add_bos: bool | None) -> list[int]:
        """``ids`` with bos before and eos after them, as ``Tokenizer.encode`` says."""
        if self.add_bos if add_bos is None else add_bos:
            if self.bos is None:
                raise TokenizerError("add_bos: the vocabulary has no bos (tokenizer.ggml.bos_token_id)")
            ids = [self.bos, *ids]
        if self.add_eos and self.eos is not None and add_bos is not False:
            ids = [*ids, self.eos]
        return ids

    def of_type(self, *types: TokenType) -> dict[str, int]:
        """Texts and ids of all tokens of these types, without empty texts."""
        tokens = self.tokens
        return {tokens[i]: i for i, kind in enumerate(self.types) if kind in types and tokens[i]}

    @cached_property
    def end_ids(self) -> frozenset[int]:
        """Ids that end a generation: eos, eot, eom, the file's own list, and the well-known markers.

        A marker counts if it is a control or user-defined token; a normal token of that spelling is just text.
        """
        named = {self._special_id(name) for name in ("eos", "eot", "eom")}
        marked = end_markers(self.of_type(TokenType.CONTROL, TokenType.USER_DEFINED))
        found = named | marked | self._ids("ollamax.tokenizer.end_ids")
        return frozenset(token for token in found if token is not None)

    def _read_types(self) -> list[TokenType]:
        key = "tokenizer.ggml.token_type"
        if key not in self._metadata:
            return [TokenType.NORMAL] * len(self.tokens)
        known = {int(kind): kind for kind in TokenType}
        numbers = self._metadata.integers(key, length=len(self.tokens)).tolist()
        return [known.get(number, TokenType.UNUSED) for number in numbers]

    def _special_id(self, name: str) -> int | None:
        last = len(self.tokens) - 1
        key = f"tokenizer.ggml.{name}_token_id"
        return self._metadata.integer(key, self._defaults.get(name), minimum=0, maximum=last)

    def _ids(self, key: str) -> frozenset[int]:
        numbers = self._metadata.integers(key, None)
        return frozenset() if numbers is None else frozenset(map(self.check, numbers.tolist()))
