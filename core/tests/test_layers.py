"""Who may import whom (docs/architecture.md, "The rooms"), and how long files and functions may be.

Imports inside functions and under ``if TYPE_CHECKING`` count like all others: a lower room that knows an upper one
only by type still cannot be understood, or tested, without it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core" / "src"
EXAMPLES = CORE / "ollamax" / "scaffold" / "templates"
PHI3 = ROOT / "examples" / "ollamax-plugin-phi3" / "src"
FOLDERS = (ROOT / "plugins", EXAMPLES, ROOT / "examples")
PLUGINS = sorted(path for folder in FOLDERS for path in folder.glob("*/src") if path.is_dir())

LOWEST = {"errors", "types", "config", "freed_memory", "json_file", "mapped_pages", "new_directory"}

# From the top; a room imports only rooms of rows below its own, and itself.
ROWS = [
    {"cli"},
    {"bench"},
    {"inspect", "scaffold"},
    {"engine"},
    {"sample"},  # DESIGN.md shows it on the engine's row: the engine uses it, it does not know the engine
    {"plugins"},
    {"arch", "convert", "tokenizer", "modelfile", "template", "store"},
    {"kvcache", "backend"},
    {"ml.nn"},
    {"ml", "gguf"},
    LOWEST,
]
RANK = {room: len(ROWS) - row for row, rooms in enumerate(ROWS) for room in rooms}
ANYBODY = frozenset({"", *LOWEST})  # "" is the package itself

# What a plugin may import; "" is `import ollamax`.
PUBLIC = frozenset({"", "ml", "ml.nn", "arch", "backend", "tokenizer", "convert", "kvcache", "gguf"})
PUBLIC |= frozenset({"errors", "types", "mapped_pages", "testing"})

LONGEST_FILE = 500
LONGEST_FUNCTION = 40


@dataclass(frozen=True)
class Import:
    """``from module import name``, or ``import module`` with an empty name; ``file`` is relative to a src folder."""

    file: Path
    line: int
    module: str
    name: str = ""

    def __str__(self) -> str:
        what = f"from {self.module} import {self.name}" if self.name else f"import {self.module}"
        return f"{self.file}:{self.line}: {what}"


def imports(path: Path, root: Path) -> Iterator[Import]:
    """Every import of a file, with relative ones resolved."""
    file = path.relative_to(root)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = file.parts[: len(file.parts) - node.level] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(file, node.lineno, module, alias.name)


def room_of_module(module: str) -> str:
    """The room of a dotted module of core: "ml.nn" for ollamax.ml.nn.linear, "" for ollamax itself."""
    parts = module.split(".")[1:]
    if parts[:2] == ["ml", "nn"]:
        return "ml.nn"
    return parts[0] if parts else ""


def imported_room(item: Import) -> str | None:
    """The room that an import reaches; None outside of core."""
    if item.module.partition(".")[0] != "ollamax":
        return None
    if item.module == "ollamax" and (CORE / "ollamax" / item.name).exists() and item.name:
        return item.name  # from ollamax import ml
    if item.module == "ollamax" and (CORE / "ollamax" / f"{item.name}.py").exists():
        return item.name  # from ollamax import config
    if item.module == "ollamax.ml" and item.name == "nn":
        return "ml.nn"
    return room_of_module(item.module)


def room_of_file(file: Path) -> str:
    """The room that a file of core lies in; modules at the top of the package are rooms of their own."""
    module = [*file.parts[:-1], *([] if file.stem == "__init__" else [file.stem])]
    return room_of_module(".".join(module))


def allowed_in_core(item: Import) -> bool:
    """Whether core's rule permits an import."""
    source, target = room_of_file(item.file), imported_room(item)
    if target is None or target in ANYBODY or target == source:
        return True
    if source == "":
        # ollamax/__init__.py is the library's front door: its lazy names are those of the engine.
        return target == "engine"
    if source == "testing":
        # What plugin authors test with: it drives whole models, but needs no command line.
        return target != "cli"
    if source not in RANK or target not in RANK:
        return False  # a room that the table does not know, or `testing` used by the library
    if target == "plugins" and source == "sample":
        return False  # above that row, but plugins are called by the engine and the command line only
    if item.file.name == "plugin.py":
        # Core's own hook implementations are written as a stranger's would be.
        return (item.module, item.name) == ("ollamax.plugins", "hookimpl") or RANK[target] < RANK[source]
    return RANK[target] < RANK[source]


def allowed_in_plugin(item: Import, package: str, packages: frozenset[str]) -> bool:
    """Whether a plugin's import is of its own package, of a public room, or of neither core nor another plugin."""
    top = item.module.partition(".")[0]
    if top in packages:
        return top == package
    target = imported_room(item)
    if target is None or target in PUBLIC:
        return True
    # The one door into the room of plugins is for plugin.py, and shows only what hooks need.
    names = {"hookimpl", "BundledModel"}
    return item.file.name == "plugin.py" and item.module == "ollamax.plugins" and item.name in names


def core_files() -> list[Path]:
    return sorted(path for path in (CORE / "ollamax").rglob("*.py") if not path.is_relative_to(EXAMPLES))


def plugin_files() -> list[tuple[Path, Path]]:
    return [(path, root) for root in PLUGINS for path in sorted(root.rglob("*.py"))]


def long_functions(path: Path) -> list[str]:
    """Functions over the limit, from ``def`` to the last line, docstring included."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {length} lines"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, functions) and (length := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION
    ]


def test_every_room_is_in_the_table() -> None:
    rooms = {room_of_file(path.relative_to(CORE)) for path in core_files()}
    assert rooms - {"", "testing"} == set(RANK)


def test_core_imports_only_downwards() -> None:
    broken = [str(item) for path in core_files() for item in imports(path, CORE) if not allowed_in_core(item)]
    assert not broken, "\n".join(broken)


def test_plugins_import_only_public_rooms_and_no_other_plugin() -> None:
    packages = frozenset(folder.name for root in PLUGINS for folder in root.iterdir() if folder.is_dir())
    assert {"ollamax_llama", "ollamax_backend_cpu", "ollamax_demo", "ollamax_phi3"} <= packages
    broken = [
        str(item)
        for path, root in plugin_files()
        for item in imports(path, root)
        if not allowed_in_plugin(item, path.relative_to(root).parts[0], packages)
    ]
    assert not broken, "\n".join(broken)


def test_an_architecture_takes_two_files_of_its_own_and_few_lines() -> None:
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in PHI3.rglob("*.py")}
    assert lines.keys() == {"__init__.py", "plugin.py", "model.py", "convert.py"}
    assert lines["model.py"] + lines["convert.py"] < 200


def test_core_knows_no_plugin() -> None:
    packages = {folder.name for root in PLUGINS for folder in root.iterdir() if folder.is_dir()}
    broken = [
        str(item) for path in core_files() for item in imports(path, CORE) if item.module.partition(".")[0] in packages
    ]
    assert not broken, "\n".join(broken)


def test_files_are_short() -> None:
    folders = ("core", "plugins", "examples", "tests", "benchmarks")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    assert Path(__file__) in paths
    lengths = {path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    assert not [f"{path}: {lines} lines" for path, lines in lengths.items() if lines > LONGEST_FILE]


def test_functions_are_short() -> None:
    paths = [*core_files(), *(path for path, _root in plugin_files())]
    broken = [line for path in paths for line in long_functions(path)]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    ("file", "module", "name", "allowed"),
    [
        ("ollamax/cli/run.py", "ollamax.engine.load", "load", True),
        ("ollamax/cli/run.py", "ollamax.store.store", "Store", True),
        ("ollamax/engine/load.py", "ollamax.cli.console", "print_error", False),
        ("ollamax/engine/load.py", "ollamax.sample", "Sampler", True),
        ("ollamax/sample/sampler.py", "ollamax.engine.options", "Options", False),
        ("ollamax/sample/sampler.py", "ollamax", "engine", False),
        ("ollamax/sample/sampler.py", "ollamax.plugins", "get_registry", False),
        ("ollamax/engine/load.py", "ollamax.plugins", "get_registry", True),
        ("ollamax/plugins/manager.py", "ollamax.arch.base", "Architecture", True),
        ("ollamax/arch/base.py", "ollamax.convert.base", "Converter", False),
        ("ollamax/arch/base.py", "ollamax.plugins", "hookimpl", False),
        ("ollamax/tokenizer/plugin.py", "ollamax.plugins", "hookimpl", True),
        ("ollamax/tokenizer/plugin.py", "ollamax.plugins", "get_registry", False),
        ("ollamax/tokenizer/plugin.py", "ollamax.tokenizer.bpe", "BPE", True),
        ("ollamax/kvcache/causal.py", "ollamax.backend.base", "Backend", False),
        ("ollamax/kvcache/causal.py", "ollamax.ml", "nn", True),
        ("ollamax/ml/graph.py", "ollamax.ml", "nn", False),
        ("ollamax/ml/graph.py", "ollamax.ml.nn.linear", "Linear", False),
        ("ollamax/ml/graph.py", "ollamax.gguf", "Reader", False),
        ("ollamax/ml/nn/linear.py", "ollamax.ml.tensor", "Tensor", True),
        ("ollamax/errors.py", "ollamax.types", "DType", True),
        ("ollamax/types.py", "ollamax.ml", "Tensor", False),
        ("ollamax/__init__.py", "ollamax.engine.load", "load", True),
        ("ollamax/__init__.py", "ollamax.ml", "Tensor", False),
        ("ollamax/testing/model.py", "ollamax.engine", "load", True),
        ("ollamax/testing/model.py", "ollamax.cli.main", "main", False),
        ("ollamax/engine/load.py", "ollamax.testing", "check", False),
        ("ollamax/attic/old.py", "ollamax.ml", "Tensor", False),
        ("ollamax/engine/load.py", "numpy", "", True),
    ],
)
def test_the_rule_of_core(file: str, module: str, name: str, allowed: bool) -> None:
    assert allowed_in_core(Import(Path(file), 1, module, name)) is allowed


@pytest.mark.parametrize(
    ("file", "module", "name", "allowed"),
    [
        ("ollamax_poem/model.py", "ollamax.ml", "nn", True),
        ("ollamax_poem/model.py", "ollamax.arch.base", "Architecture", True),
        ("ollamax_poem/model.py", "ollamax_poem.layers", "Layer", True),
        ("ollamax_poem/model.py", "ollamax_llama.model", "Llama", False),
        ("ollamax_poem/model.py", "ollamax.engine.load", "load", False),
        ("ollamax_poem/model.py", "ollamax", "engine", False),
        ("ollamax_poem/model.py", "ollamax.plugins", "hookimpl", False),
        ("ollamax_poem/plugin.py", "ollamax.plugins", "hookimpl", True),
        ("ollamax_poem/plugin.py", "ollamax.plugins", "BundledModel", True),
        ("ollamax_poem/plugin.py", "ollamax.plugins.manager", "Manager", False),
        ("ollamax_poem/plugin.py", "ollamax.store", "Store", False),
        ("ollamax_poem/model.py", "torch", "", True),
    ],
)
def test_the_rule_of_plugins(file: str, module: str, name: str, allowed: bool) -> None:
    packages = frozenset({"ollamax_poem", "ollamax_llama"})
    assert allowed_in_plugin(Import(Path(file), 1, module, name), "ollamax_poem", packages) is allowed


def test_finds_imports_wherever_they_hide(tmp_path: Path) -> None:
    file = tmp_path / "ollamax" / "arch" / "base.py"
    file.parent.mkdir(parents=True)
    file.write_text(
        "import os, json.decoder\n"
        "if TYPE_CHECKING:\n    from ollamax.plugins import hookimpl\n"
        "def f():\n    from ..engine import load, chat\n    from . import other\n",
        encoding="utf-8",
    )
    assert [(item.line, item.module, item.name) for item in imports(file, tmp_path)] == [
        (1, "os", ""),
        (1, "json.decoder", ""),
        (3, "ollamax.plugins", "hookimpl"),
        (5, "ollamax.engine", "load"),
        (5, "ollamax.engine", "chat"),
        (6, "ollamax.arch", "other"),
    ]
