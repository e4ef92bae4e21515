"""The conformance suite of tokenizers and pre-tokenizers, for pytest (``pip install 'ollamax-core[testing]'``).

A package's test file::

    from ollamax.testing.tokenizer_suite import TokenizerSuite

    class TestVerse(TokenizerSuite):
        pre = "verse"                                    # or a metadata of the package's own
        pieces = {"twelve 12 lines": ["twelve", " ", "1", "2", " lines"]}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ollamax.errors import GGUFError, TokenizerError
from ollamax.plugins import get_registry
from ollamax.testing.framework import pytest
from ollamax.tokenizer.base import PreTokenizer, Tokenizer
from ollamax.tokenizer.registry import build_tokenizer

_PREFIX = "tokenizer.ggml."
TEXTS = (
    "",
    " ",
    "Hello, world!",
    "  two  spaces   three ",
    "line\nnext\r\n\n\tindented",
    "it's 12345 o'clock, 3.14 and 1/2",
    "Zażółć gęślą jaźń; Ünïcödé",
    "你好，世界。こんにちは 안녕하세요",
    "مرحبا بالعالم — שלום",
    "e\u0301 combining, \u200b zero width, \ufeff mark",
    "👩‍👩‍👧‍👦 family 🏳️‍🌈 flag",
    "nul\x00 and bell\x07",
    "a" * 300 + " " * 100,
    "<|begin|> written, not meant",
)


def byte_level_metadata(pre: str) -> dict[str, Any]:
    """Keys of a byte-level BPE vocabulary: 256 bytes, two control tokens, no merges."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    odd = [byte for byte in range(256) if byte not in plain]
    stand_ins = {byte: chr(byte) for byte in plain} | {byte: chr(256 + at) for at, byte in enumerate(odd)}
    return {
        f"{_PREFIX}model": "gpt2",
        f"{_PREFIX}pre": pre,
        f"{_PREFIX}tokens": [*(stand_ins[byte] for byte in range(256)), "<|begin|>", "<|end|>"],
        f"{_PREFIX}token_type": [1] * 256 + [3, 3],
        f"{_PREFIX}merges": [],
        f"{_PREFIX}bos_token_id": 256,
        f"{_PREFIX}eos_token_id": 257,
        f"{_PREFIX}add_bos_token": False,
    }


class TokenizerSuite:
    """Either ``pre``, the name of a pre-tokenizer, or ``metadata`` of a vocabulary that has every byte.

    ``pieces`` says how texts are cut before merging, for a pre-tokenizer.
    """

    pre: ClassVar[str] = ""
    metadata: ClassVar[Mapping[str, Any]] = {}
    pieces: ClassVar[Mapping[str, Sequence[str]]] = {}

    @pytest.fixture
    def keys(self) -> dict[str, Any]:
        """What a GGUF file says of the vocabulary."""
        assert self.pre or self.metadata, "the suite needs pre or metadata"
        return dict(self.metadata or byte_level_metadata(self.pre))

    @pytest.fixture
    def tokenizer(self, keys: dict[str, Any]) -> Tokenizer:
        """As the engine builds it."""
        return build_tokenizer(keys, get_registry().tokenizers)

    @pytest.mark.parametrize("text", TEXTS, ids=ascii)
    def test_text_comes_back(self, tokenizer: Tokenizer, text: str) -> None:
        """Byte for byte, with ids of the vocabulary, and the same ones the next time."""
        ids = tokenizer.encode(text, add_bos=False, parse_special=False)
        assert tokenizer.decode(ids) == text
        assert all(0 <= token < tokenizer.n_vocab for token in ids)
        assert ids == tokenizer.encode(text, add_bos=False, parse_special=False)

    @pytest.mark.parametrize("text", TEXTS, ids=ascii)
    def test_token_by_token_is_the_same_text(self, tokenizer: Tokenizer, text: str) -> None:
        """Also where a character's bytes lie in several tokens."""
        ids, decoder = tokenizer.encode(text, add_bos=False, parse_special=False), tokenizer.stream()
        parts = [decoder.push(token) for token in ids]
        assert "".join(parts) + decoder.finish() == text
        assert not any("\ufffd" in part for part in parts)

    def test_pieces_are_cut_as_told(self, tokenizer: Tokenizer) -> None:
        """By a vocabulary that merges nothing, a piece is seen by a merge that would cross its end."""
        for text, pieces in self.pieces.items():
            assert "".join(pieces) == text
            assert cuts(self.pre, text) == list(pieces)
        assert self.pieces or not self.pre, "pieces says how a pre-tokenizer cuts"
        assert tokenizer.n_vocab > 0

    def test_control_tokens_are_read_where_that_is_allowed_only(self, tokenizer: Tokenizer) -> None:
        """What a user types is text."""
        token = tokenizer.bos if tokenizer.bos is not None else tokenizer.eos
        assert token is not None
        written = tokenizer.token_text(token)
        assert tokenizer.encode(written, add_bos=False) == [token]
        typed = tokenizer.encode(written, add_bos=False, parse_special=False)
        assert token not in typed
        assert tokenizer.decode(typed) == written
        assert tokenizer.decode([token]) == ""
        assert tokenizer.decode([token], special=True) == written

    def test_the_beginning_is_added_where_it_is_asked_for(self, tokenizer: Tokenizer) -> None:
        """Once."""
        plain = tokenizer.encode("text", add_bos=False)
        if tokenizer.bos is not None:
            assert tokenizer.encode("text", add_bos=True) == [tokenizer.bos, *plain]

    def test_generation_has_an_end(self, tokenizer: Tokenizer) -> None:
        """An id of the vocabulary."""
        assert tokenizer.end_ids
        assert all(0 <= token < tokenizer.n_vocab for token in tokenizer.end_ids)

    def test_a_lone_surrogate_is_no_text(self, tokenizer: Tokenizer) -> None:
        """One line says so."""
        with pytest.raises(TokenizerError) as caught:
            tokenizer.encode("half \ud800 a character")
        assert "\n" not in str(caught.value)

    def test_an_id_beyond_the_vocabulary_is_refused(self, tokenizer: Tokenizer) -> None:
        """By name."""
        for token in (-1, tokenizer.n_vocab, 10**12):
            with pytest.raises(TokenizerError, match=str(token)):
                tokenizer.token_bytes(token)

    @pytest.mark.parametrize("key", ["tokens", "bos_token_id", "eos_token_id"])
    def test_a_hostile_file_is_refused_by_name(self, keys: dict[str, Any], key: str) -> None:
        """Keys of another type than they have, or beyond the vocabulary."""
        name = _PREFIX + key
        wrong: list[Any] = ["text", 10**9, []]
        for value in wrong:
            with pytest.raises((TokenizerError, GGUFError), match=name):
                build_tokenizer({**keys, name: value}, get_registry().tokenizers)


def cuts(pre: str, text: str) -> list[str]:
    """The pieces of ``text`` that the pre-tokenizer called ``pre`` isolates."""
    import tokenizers

    kinds = [kind for kind in get_registry().tokenizers if issubclass(kind, PreTokenizer) and pre in kind.names]
    assert kinds, f"no installed pre-tokenizer is called {pre!r}"
    splits = [tokenizers.pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated") for pattern in kinds[0].patterns]
    return [piece for piece, _ in tokenizers.pre_tokenizers.Sequence(splits).pre_tokenize_str(text)]
