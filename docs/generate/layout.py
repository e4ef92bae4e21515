"""The page of the GGUF layout: what core reads and writes, and keys and tensors of each architecture."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

from architectures import architectures, keys, tensors
from ollamax.arch import Architecture
from ollamax.gguf.reader import VERSIONS
from ollamax.ml.dtype import can_quantize
from ollamax.tokenizer.vocabulary import TokenType
from ollamax.types import DType
from readme import key_meanings
from table import code, table

ROOT = Path(__file__).parents[2]
_KEY = re.compile(r"(general|tokenizer\.ggml|ollamax\.tokenizer)\.[a-z_]+|tokenizer\.chat_templates?")


def layout() -> str:
    """Everything that a GGUF file holds for ollamax."""
    parts = [
        "# GGUF layout",
        f"Files are little-endian, of version {' or '.join(map(str, VERSIONS))}. Keys and tensor names are "
        "llama.cpp's; what GGUF has no name for lies below `ollamax.`, which other programs ignore. Shapes are "
        "row-major, as in NumPy: the file itself lists sizes in the opposite order.",
        "## Keys of every model",
        _core_keys(),
        f"Types of tokens: {', '.join(f'{kind.value} {_spoken(kind.name)}' for kind in TokenType)}.",
    ]
    sections = [_architecture(package, found) for package, found in architectures(ROOT)]
    return "\n\n".join([*parts, *sections, "## Types of tensors", _types()])


def _architecture(package: Path, found: type[Architecture]) -> str:
    summary = inspect.cleandoc(found.__doc__ or "").partition("\n")[0]
    return "\n\n".join(
        [
            f"## {found.name}",
            f"From `ollamax-plugin-{package.name}`, class `{found.__name__}`. {summary}",
            keys(package, found),
            f"*depends* is told by the meaning. Sizes of tensors are the keys below `{found.name}.`; `N` counts blocks "
            "from 0, *any* is as the file has it, and `…` is computed in another way, which its README tells.",
            tensors(package, found),
        ]
    )


def _core_keys() -> str:
    meanings = key_meanings(ROOT / "core" / "README.md")
    if missing := sorted(_keys_in_code() - meanings.keys()):
        raise ValueError(f"core/README.md does not say what these keys are: {', '.join(missing)}")
    return table(["key", "meaning"], [[code(key), meaning] for key, meaning in meanings.items()])


def _keys_in_code() -> set[str]:
    """Every key that stands in the source of core as it is."""
    return {
        node.value
        for path in (ROOT / "core" / "src").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _KEY.fullmatch(node.value)
    }


def _spoken(name: str) -> str:
    return name.lower().replace("_", " ")


def _types() -> str:
    rows = [
        [
            code(dtype.name),
            str(dtype.value),
            str(dtype.block_size),
            str(dtype.block_bytes),
            f"{8 * dtype.block_bytes / dtype.block_size:g}",
            "yes" if dtype in can_quantize else "",
        ]
        for dtype in DType
    ]
    return table(
        ["type", "number", "elements of a block", "bytes of a block", "bits an element", "core writes it"], rows
    )
