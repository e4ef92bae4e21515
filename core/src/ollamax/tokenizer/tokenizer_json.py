"""Reading tokenizer.json: what kind of tokenizer it describes, and how it cuts text.

The format is that of the ``tokenizers`` library. Whatever changes ids and has no place in GGUF is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ollamax.errors import CheckpointError
from ollamax.json_file import typed
from ollamax.tokenizer.byte_level import BYTE_OF
from ollamax.tokenizer.pretokenizers import GPT2


class TokenizerJson:
    """A parsed tokenizer.json whose model is BPE.

    ``byte_level`` tells GPT-2's byte alphabet from SentencePiece's ``▁``. ``vocab`` is token text to id, ``merges`` a
    list of pairs. Raises CheckpointError for any other model and for options of the model that are not supported.
    """

    def __init__(self, path: Path, content: Mapping[str, Any]) -> None:
        self.path, self.content = path, content
        self.model: dict[str, Any] = typed(path, content.get("model"), dict, "model")
        kind = self.model.get("type", "BPE" if "merges" in self.model else None)
        if kind != "BPE":
            raise CheckpointError(path, f"{kind!a:.40} models are not supported; BPE was expected", where="model")
        for option in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
            if self.model.get(option):
                raise CheckpointError(path, f"{option} is not supported", where="model")
        self.vocab: dict[str, Any] = typed(path, self.model.get("vocab"), dict, "model.vocab")
        self.ignore_merges = bool(self.model.get("ignore_merges"))
        self._steps = _flattened(path, content.get("pre_tokenizer"), "pretokenizers", "pre_tokenizer")
        self.byte_level = any(step.get("type") == "ByteLevel" for step in self._steps)
        self.normalizers = _flattened(path, content.get("normalizer"), "normalizers", "normalizer")

    @property
    def merges(self) -> list[tuple[str, str]]:
        """The pairs that are merged, best first; written as a pair or as one text with a space."""
        pairs = []
        for merge in typed(self.path, self.model.get("merges"), list, "model.merges"):
            parts = merge.split(" ") if isinstance(merge, str) else merge
            if not isinstance(parts, list) or len(parts) != 2 or not all(isinstance(part, str) for part in parts):
                raise CheckpointError(self.path, f"{merge!a:.60} is no pair of tokens", where="model.merges")
            pairs.append((parts[0], parts[1]))
        return pairs

    @property
    def pre_tokenizers(self) -> list[dict[str, Any]]:
        """The steps of the pre-tokenizer in order."""
        return self._steps

    def patterns(self) -> tuple[str, ...]:
        """The regular expressions of a byte-level tokenizer, each isolating its matches."""
        *splits, last = self._steps
        if last.get("type") != "ByteLevel" or last.get("add_prefix_space") or self._lacks_bytes():
            raise CheckpointError(
                self.path,
                "ByteLevel as the last step, without add_prefix_space, over a vocabulary of all bytes was expected",
                where="pre_tokenizer",
            )
        found = [self._pattern(step) for step in splits]
        return (*found, GPT2.patterns[0]) if last.get("use_regex", True) else tuple(found)

    def composes(self) -> bool:
        """Whether text is brought to Unicode's form NFC; CheckpointError for any other normaliser."""
        kinds = [step.get("type") for step in self.normalizers]
        if kinds not in ([], ["NFC"]):
            raise CheckpointError(self.path, f"{kinds!a:.80} is not supported; NFC is", where="normalizer")
        return bool(kinds)

    def frame(self) -> tuple[str | None, str | None] | None:
        """The texts of the tokens that are put before and after the text; None if the file does not say."""
        steps = _flattened(self.path, self.content.get("post_processor"), "processors", "post_processor")
        templates = [step for step in steps if step.get("type") == "TemplateProcessing"]
        unknown = [step.get("type") for step in steps if step.get("type") not in ("ByteLevel", "TemplateProcessing")]
        if unknown or len(templates) > 1:
            raise CheckpointError(self.path, f"{unknown or 'two templates'!a:.80} is not supported", "post_processor")
        if not templates:
            return None
        before: list[str] = []
        after: list[str] = []
        side = before
        for item in typed(self.path, templates[0].get("single"), list, "post_processor"):
            special = typed(self.path, item, dict, "post_processor").get("SpecialToken")
            if special is None:
                side = after
            else:
                special = typed(self.path, special, dict, "post_processor")
                side.append(typed(self.path, special.get("id"), str, "post_processor"))
        if len(before) > 1 or len(after) > 1:
            raise CheckpointError(self.path, f"{[*before, *after]!a:.80} around a text; one token each is supported")
        return (before[0] if before else None, after[0] if after else None)

    def _lacks_bytes(self) -> bool:
        return any(character not in self.vocab for character in BYTE_OF)

    def _pattern(self, step: Mapping[str, Any]) -> str:
        match step:
            case {"type": "Split", "pattern": {"Regex": str(pattern)}, "behavior": "Isolated", "invert": False}:
                return pattern
            case {"type": "Digits", "individual_digits": True}:
                return r"\p{N}"
        raise CheckpointError(self.path, f"{step!a:.200} is not supported", where="pre_tokenizer")


def _flattened(path: Path, value: Any, inner: str, where: str) -> list[dict[str, Any]]:
    """A processing step, or the steps of a sequence of them."""
    if value is None:
        return []
    step = typed(path, value, dict, where)
    if step.get("type") != "Sequence":
        return [step]
    steps = [typed(path, item, dict, where) for item in typed(path, step.get(inner), list, where)]
    if any(item.get("type") == "Sequence" for item in steps):
        raise CheckpointError(path, "a sequence inside a sequence is not supported", where=where)
    return steps
