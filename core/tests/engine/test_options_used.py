"""An option that nothing reads would be ignored, which this project does not do."""

import ast
from pathlib import Path

import ollamax
from ollamax.engine.options import TABLE

ROOMS = ("engine", "sample")


def option_reads(tree):
    """Names read as ``options.NAME``, ``self._options.NAME`` or ``chosen.NAME``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            owner = node.value
            name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
            if name.endswith("options") or name == "chosen":
                yield node.attr


def test_every_option_is_read_by_the_engine_or_the_sampler():
    root = Path(ollamax.__file__).parent
    files = [path for room in ROOMS for path in (root / room).rglob("*.py")]
    read = {name for path in files for name in option_reads(ast.parse(path.read_text(encoding="utf-8")))}
    assert set(TABLE) - read == set()
