"""Every hook is documented: a signature with types, and an example that can be copied."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from types import FunctionType

import pytest

from ollamax.plugins import hookspecs

HOOKS = [item for item in vars(hookspecs).values() if isinstance(item, FunctionType)]


def flaws(hook: Callable[..., object]) -> list[str]:
    """What the documentation of ``hook`` lacks."""
    found = []
    signature = inspect.signature(hook)
    if signature.return_annotation is signature.empty:
        found.append("no return type")
    found += [f"no type of {item.name}" for item in signature.parameters.values() if item.annotation is item.empty]
    prose, marker, example = inspect.cleandoc(hook.__doc__ or "").partition("Example::")
    if not prose.strip():
        found.append("no description")
    if not marker:
        return [*found, "no example"]
    try:
        tree = ast.parse(textwrap.dedent(example))
    except SyntaxError as error:
        return [*found, f"the example does not parse: {error}"]
    return found + example_flaws(tree, hook.__name__, list(signature.parameters))


def example_flaws(tree: ast.Module, name: str, parameters: list[str]) -> list[str]:
    imported = {
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == "ollamax.plugins"
        for alias in node.names
    }
    found = [] if "hookimpl" in imported else ["the example does not import hookimpl"]
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    if [node.name for node in functions] != [name]:
        return [*found, "the example does not define the hook"]
    if [ast.unparse(item) for item in functions[0].decorator_list] != ["hookimpl"]:
        found.append("the example's function is not marked with @hookimpl")
    if [item.arg for item in functions[0].args.args] != parameters:
        found.append("the example's parameters differ")
    return found


def test_all_hooks_are_there() -> None:
    assert {hook.__name__ for hook in HOOKS} == {
        "ollamax_architectures",
        "ollamax_converters",
        "ollamax_tokenizers",
        "ollamax_backends",
        "ollamax_quantizers",
        "ollamax_models",
        "ollamax_commands",
    }


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.__name__)
def test_hook_is_documented(hook: Callable[..., object]) -> None:
    assert flaws(hook) == []
    assert hasattr(hook, "ollamax_spec")


def untyped(cli):  # type: ignore[no-untyped-def]
    """Say something. Example::

    from ollamax.plugins import hookimpl

    @hookimpl
    def untyped(cli): ...
    """


def without_example(cli: object) -> None:
    """Say something."""


def without_docstring() -> None: ...


def broken_example() -> None:
    """Say something. Example::

    def broken_example(:
    """


def other_example(cli: object) -> None:
    """Say something. Example::

    def other_example(group): ...
    """


@pytest.mark.parametrize(
    ("hook", "expected"),
    [
        (untyped, ["no return type", "no type of cli"]),
        (without_example, ["no example"]),
        (without_docstring, ["no description", "no example"]),
        (broken_example, ["the example does not parse: invalid syntax (<unknown>, line 3)"]),
        (
            other_example,
            [
                "the example does not import hookimpl",
                "the example's function is not marked with @hookimpl",
                "the example's parameters differ",
            ],
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_check_finds_flaws(hook: Callable[..., object], expected: list[str]) -> None:
    assert flaws(hook) == expected
