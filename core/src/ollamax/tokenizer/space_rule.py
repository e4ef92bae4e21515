"""Where a tokenizer of SentencePiece's kind puts a space of its own."""

from __future__ import annotations

from typing import NamedTuple

from ollamax.errors import CheckpointError
from ollamax.tokenizer.sentencepiece_model import SPACE
from ollamax.tokenizer.tokenizer_json import TokenizerJson


class SpaceRule(NamedTuple):
    """Whether a space goes before the text, before text after a special token, and before text that has one."""

    before_text: bool
    after_special: bool
    before_space: bool = True

    def metadata(self) -> dict[str, bool]:
        """The GGUF keys that say so; only the first is llama.cpp's."""
        return {
            "tokenizer.ggml.add_space_prefix": self.before_text,
            "ollamax.tokenizer.space_after_special": self.after_special,
            "ollamax.tokenizer.space_before_space": self.before_space,
        }


def space_rule(described: TokenizerJson) -> SpaceRule:
    """The rule of a tokenizer.json; CheckpointError for steps that none of its known forms has.

    ``Prepend`` puts a space before whatever it is given. ``Metaspace`` leaves out the one before text that begins with
    a space already (``tokenizers``, pre_tokenizers/metaspace.rs).
    """
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    prepend = {"type": "Prepend", "prepend": SPACE}
    match described.normalizers, described.pre_tokenizers:
        case [first, second], [] if first == prepend and second == replace:
            return SpaceRule(True, True)
        case [first], [] if first == replace:
            return SpaceRule(False, False)
        case [], [{"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": False}]:
            if scheme in ("always", "first", "never"):
                return SpaceRule(scheme != "never", scheme == "always", False)
    steps = [*described.normalizers, *described.pre_tokenizers]
    raise CheckpointError(described.path, f"{steps!a:.200} is not supported", where="normalizer or pre_tokenizer")
