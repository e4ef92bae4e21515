"""One plugin's sources under another name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ollamax.scaffold.plugin_name import PluginName


@dataclass(frozen=True, slots=True)
class Renaming:
    """From the plugin ``old``, whose main class is called ``old_class``, to ``new``."""

    old: PluginName
    old_class: str
    new: PluginName

    def text(self, text: str) -> str:
        """``text`` with the new names: of the package, of classes, in strings and in GGUF keys.

        What only looks alike stays: ``llama.cpp``, ``llama3``, "Llama 3".
        """
        for pattern, replacement in self._rules():
            text = re.sub(pattern, lambda _, new=replacement: new, text)  # type: ignore[misc]
        return text

    @property
    def in_prose(self) -> Callable[[str], str]:
        """As ``text``, and the bare name too, for texts that speak of nothing else."""
        bare = re.compile(rf"(?<![\w-]){re.escape(self.old.name)}(?![\w-])")
        return lambda text: bare.sub(self.new.name, self.text(text))

    def _rules(self) -> list[tuple[str, str]]:
        name = re.escape(self.old.name)
        return [
            (rf"\b{re.escape(self.old.distribution)}\b", self.new.distribution),
            (rf"\b{re.escape(self.old.module)}\b", self.new.module),
            # Llama, LlamaConverter, LlamaForCausalLM and TestLlama, but not "Llama 3".
            (rf"(?:\b|(?<=\bTest)){re.escape(self.old_class)}(?![a-z0-9])(?! \d)", self.new.class_name),
            (rf"(?<=[\"']){name}(?=[\"'])", self.new.name),
            # The beginning of a GGUF key.
            (rf"(?<![\w.\-/]){name}(?=\.(?!cpp\b|py\b)[a-z{{])", self.new.name),
        ]
