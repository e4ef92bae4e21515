"""A new architecture that begins as a copy of an installed one."""

from __future__ import annotations

import json
import re
from importlib.metadata import requires
from importlib.resources import files
from typing import Any

from ollamax.arch import VisionArchitecture
from ollamax.convert.decoder import DecoderConverter
from ollamax.errors import UsageError
from ollamax.plugins import Registry
from ollamax.plugins.manager import Manager
from ollamax.scaffold.example import example_texts
from ollamax.scaffold.plugin_name import PluginKind, PluginName
from ollamax.scaffold.renaming import Renaming

_CHECKPOINT, _PROJECT = "tests/checkpoint.json", "pyproject.toml"
_VOCABULARY = 2**30 - 35
"""Stands for the number of tokens until the shapes are known; a prime, so that it is no other size."""


def texts_like(name: PluginName, like: str, manager: Manager) -> dict[str, str]:
    """The example's files with the modules of the installed architecture ``like``, and a checkpoint that it converts.

    Raises UsageError for another kind than architectures, one that is not installed, or whose converter is no
    DecoderConverter that takes the example's sizes.
    """
    if name.kind is not PluginKind.ARCHITECTURE:
        raise UsageError(f"--like is for architectures; leave it out with --kind {name.kind}")
    registry = manager.registry()
    converter = _converter(like, registry)
    architecture = registry.architectures[like]
    renaming = Renaming(PluginName(like, name.kind), architecture.__name__, name)
    modules = {
        f"src/{name.module}/{item.name}": renaming.text(item.read_text(encoding="utf-8"))
        for item in files(architecture.__module__.partition(".")[0]).iterdir()
        if item.name.endswith(".py")
    }
    texts = example_texts(name)
    frame = {path: text for path, text in texts.items() if not path.endswith(".py") or path.startswith("tests/")}
    config = json.loads(texts[_CHECKPOINT])["config"] | {"architectures": [f"{name.class_name}ForCausalLM"]}
    checkpoint = _show({"config": config, "shapes": _shapes(converter, config)})
    project = _requiring(texts[_PROJECT], manager.provider("architecture", like))
    return {**frame, **modules, _CHECKPOINT: checkpoint, _PROJECT: project}


def _requiring(project: str, distribution: str | None) -> str:
    """The text of pyproject.toml with the requirements of an installed distribution."""
    wanted = [text for text in requires(distribution or "") or () if ";" not in text]
    lines = "".join(f"    {json.dumps(text)},\n" for text in sorted(wanted))
    return re.sub(r"(?m)^dependencies = \[\n(.*\n)*?\]", lambda _: f"dependencies = [\n{lines}]", project, count=1)


def _converter(like: str, registry: Registry) -> type[DecoderConverter]:
    plain = {
        converter.architecture: converter
        for converter in registry.converters.values()
        if issubclass(converter, DecoderConverter)
        and converter.splits is DecoderConverter.splits
        and not issubclass(registry.architectures.get(converter.architecture, VisionArchitecture), VisionArchitecture)
    }
    if like not in plain:
        known = ", ".join(sorted(plain)) or "none"
        raise UsageError(f"--like {like!r:.80}: expected an architecture of plain decoders; installed are: {known}")
    return plain[like]


def _shapes(converter: type[DecoderConverter], config: dict[str, Any]) -> dict[str, list[int | str]]:
    """The checkpoint's tensors by their names in it, with a star for the number of a layer."""
    shapes = converter(config | {"vocab_size": _VOCABULARY}).shapes()
    return {
        _source_name(converter, name): ["vocab_size" if size == _VOCABULARY else size for size in shape]
        for name, shape in shapes.items()
    }


def _source_name(converter: type[DecoderConverter], name: str) -> str:
    """What the rename table makes ``name`` of; its patterns are plain but for the number of a layer."""
    for pattern, replacement in converter.rename:
        made = re.match(re.escape(replacement).replace(r"\\1", "[0-9]+"), name)
        if made:
            return pattern.replace("([0-9]+)", "*").replace("\\.", ".") + name[made.end() :]
    raise UsageError(f"--like {converter.architecture}: its converter does not tell where {name} comes from")


def _show(checkpoint: dict[str, dict[str, Any]]) -> str:
    """JSON with a line for each entry of its two parts."""
    parts = []
    for key, entries in checkpoint.items():
        lines = ",\n".join(f"        {json.dumps(name)}: {json.dumps(value)}" for name, value in entries.items())
        parts.append(f"    {json.dumps(key)}: {{\n{lines}\n    }}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
