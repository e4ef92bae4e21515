"""Which template a model uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ollamax.errors import TemplateError
from ollamax.template.base import Template
from ollamax.template.plain import PlainTemplate

KEY = "tokenizer.chat_template"
# GGUF's name for a token's id, to the name that chat templates know. (The format's own spelling of "seperator".)
_TOKENS = {
    "bos": "bos_token",
    "eos": "eos_token",
    "unknown": "unk_token",
    "seperator": "sep_token",
    "padding": "pad_token",
    "cls": "cls_token",
    "mask": "mask_token",
}


def choose_template(modelfile_template: str | None, metadata: Mapping[str, Any]) -> Template:
    """The template for a model with the GGUF ``metadata``; raises TemplateError where the chosen one is no good.

    The Modelfile's TEMPLATE (Go) comes first, then the file's own (Jinja): ``tokenizer.chat_template``, or among
    named ones ``tokenizer.chat_template.default``, or the only one. A model without any is given messages as they are.
    """
    if modelfile_template is not None:
        from ollamax.template.go import GoTemplate

        return GoTemplate(modelfile_template)
    source = _own_template(metadata)
    if source is None:
        return PlainTemplate()
    from ollamax.template.jinja import JinjaTemplate

    return JinjaTemplate(source, special_tokens=_special_tokens(metadata))


def _own_template(metadata: Mapping[str, Any]) -> str | None:
    named = sorted(key for key in metadata if key.startswith(f"{KEY}."))
    key = KEY if KEY in metadata else f"{KEY}.default"
    if key not in metadata:
        if not named:
            return None
        if len(named) > 1:
            names = ", ".join(name.removeprefix(f"{KEY}.")[:40] for name in named[:8])
            raise TemplateError(f"the file has chat templates {names}, but no default; write a TEMPLATE in a Modelfile")
        key = named[0]
    if not isinstance(metadata[key], str):
        raise TemplateError(f"{key}: a string was expected, not {type(metadata[key]).__name__}")
    return str(metadata[key])


def _special_tokens(metadata: Mapping[str, Any]) -> dict[str, str]:
    tokens = metadata.get("tokenizer.ggml.tokens", ())
    found = {}
    for key, name in _TOKENS.items():
        index = metadata.get(f"tokenizer.ggml.{key}_token_id")
        if isinstance(index, int) and 0 <= index < len(tokens):
            found[name] = str(tokens[index])
    return found
