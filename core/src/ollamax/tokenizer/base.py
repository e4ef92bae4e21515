"""The tokenizer contract: text to token ids and back, built from a GGUF file's ``tokenizer.ggml.*`` keys."""

from __future__ import annotations

import codecs
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar


class PreTokenizer:
    """How a BPE tokenizer cuts text before merging, chosen by ``tokenizer.ggml.pre``.

    A package adds one by returning a subclass from the hook ``ollamax_tokenizers``::

        class Poem(PreTokenizer):
            names = ("poem",)
            patterns = (r"\\p{N}", r" ?\\p{L}+|\\s+")

    ``patterns`` are regular expressions (syntax of the ``tokenizers`` library's ``Regex``), applied one after another;
    each isolates its matches. ``ignore_merges`` takes a whole piece that is in the vocabulary without merging.
    ``add_bos`` is what a file without ``tokenizer.ggml.add_bos_token`` means.
    """

    names: ClassVar[tuple[str, ...]] = ()
    patterns: ClassVar[tuple[str, ...]] = ()
    ignore_merges: ClassVar[bool] = False
    add_bos: ClassVar[bool] = False


class Tokenizer(ABC):
    """Text to ids and ids to text.

    A subclass names the ``tokenizer.ggml.model`` that it reads, and is built from the metadata of a GGUF file::

        class Letters(Tokenizer):
            models = ("letters",)

            def __init__(self, metadata, pre_tokenizers=None): ...
    """

    models: ClassVar[tuple[str, ...]] = ()
    """The values of ``tokenizer.ggml.model`` that it reads."""

    def __init__(
        self, metadata: Mapping[str, Any], pre_tokenizers: Mapping[str, type[PreTokenizer]] | None = None
    ) -> None:
        self.metadata = metadata
        self.pre_tokenizers = pre_tokenizers or {}

    @property
    @abstractmethod
    def n_vocab(self) -> int:
        """Number of tokens."""

    @property
    @abstractmethod
    def bos(self) -> int | None:
        """The beginning-of-text id, or None."""

    @property
    @abstractmethod
    def eos(self) -> int | None:
        """The main end-of-text id, or None."""

    @property
    @abstractmethod
    def end_ids(self) -> frozenset[int]:
        """All ids that end a generation: eos, eot and eom."""

    @abstractmethod
    def encode(self, text: str, add_bos: bool | None = None, parse_special: bool = True) -> list[int]:
        """Ids of ``text``.

        ``add_bos`` None follows the file's ``tokenizer.ggml.add_bos_token``. An end-of-text id follows where the
        file's ``tokenizer.ggml.add_eos_token`` says so, unless ``add_bos`` is False: that adds nothing.
        ``parse_special`` recognises control tokens written in the text; False treats them as plain characters (for
        text that a user typed). Raises TokenizerError for a lone surrogate, which is no character.
        """

    @abstractmethod
    def token_bytes(self, token: int, special: bool = False) -> bytes:
        """The UTF-8 bytes of one token, perhaps part of a character; control tokens are empty unless ``special``.

        Raises TokenizerError for an id outside the vocabulary.
        """

    @abstractmethod
    def token_text(self, token: int) -> str:
        """The vocabulary's own spelling of a token, as in the file."""

    def adds_space_after(self, previous: int | None) -> bool:
        """Whether ``encode`` puts a space of its own before text that follows the token ``previous``.

        None is the start of the text. Decoding takes that space away again; SentencePiece vocabularies need this.
        """
        del previous
        return False

    def decode(self, ids: Iterable[int], special: bool = False) -> str:
        """The text of ``ids``; bytes that are no UTF-8 become U+FFFD. Control tokens show only if ``special``."""
        decoder = self.stream(special)
        data = b"".join(map(decoder.token_bytes, ids))
        return data.decode("utf-8", errors="replace")

    def stream(self, special: bool = False, after: Sequence[int] = ()) -> StreamDecoder:
        """A decoder that is fed one token at a time.

        ``after`` are the ids that come before, such as the prompt: text that continues them keeps its first space.
        """
        return StreamDecoder(self, special, after[-1] if len(after) else None)


class StreamDecoder:
    """Decodes token by token and holds back the bytes of a character until it is complete.

    ``previous`` is the token before the first one, None at the start of the text.
    """

    def __init__(self, tokenizer: Tokenizer, special: bool = False, previous: int | None = None) -> None:
        self._tokenizer, self._special, self._previous = tokenizer, special, previous
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def token_bytes(self, token: int) -> bytes:
        """The bytes that ``token`` adds to the text, without a space that only ``encode`` put there."""
        data = self._tokenizer.token_bytes(token, self._special)
        if data.startswith(b" ") and self._tokenizer.adds_space_after(self._previous):
            data = data[1:]
        self._previous = token
        return data

    def push(self, token: int) -> str:
        """The text that ``token`` completes; may be empty."""
        return self._utf8.decode(self.token_bytes(token))

    def finish(self) -> str:
        """What is left: an incomplete character becomes U+FFFD."""
        return self._utf8.decode(b"", final=True)
