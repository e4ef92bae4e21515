"""Tokens that end a turn or a document, known by their spelling.

A file names one token as eos; chat models end their turns with another. The spellings are llama.cpp's list of
end-of-generation tokens.
"""

from __future__ import annotations

from collections.abc import Mapping

_DOCUMENT = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "[EOS]", "<｜end▁of▁sentence｜>", "[e~[")
_TURN = ("<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<turn|>", "<end_of_utterance>")
_TOOL = ("<|eom_id|>", "<|return|>", "<|call|>", "<|calls|>", "<|flush|>", "<|tool_response>")
_INFILL = ("<EOT>", "_<EOT>", "[EOT]", "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "<|file_sep|>")
_REPOSITORY = ("<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>")
_MARKERS = frozenset(_DOCUMENT + _TURN + _TOOL + _INFILL + _REPOSITORY)

# In a vocabulary with all of the left, the right only closes a part of the reply (gpt-oss, Solar, Gemma 4).
_PART_ENDS = (
    (frozenset({"<|return|>", "<|call|>"}), "<|end|>"),
    (frozenset({"<|calls|>", "<|flush|>"}), "<|end|>"),
    (frozenset({"<|tool_response>"}), "</s>"),
)


def end_markers(special: Mapping[str, int]) -> set[int]:
    """Ids of the end markers among the special tokens ``special`` (text to id)."""
    found = {text: token for text, token in special.items() if text in _MARKERS}
    for evidence, marker in _PART_ENDS:
        if evidence <= found.keys():
            found.pop(marker, None)
    return set(found.values())
