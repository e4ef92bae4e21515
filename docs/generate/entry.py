"""The entry of a page for one function or one class."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

from docstring import markdown
from signature import annotation, default, signature

_LONGEST = 100


class Attribute(NamedTuple):
    """An annotated name in the body of a class, as written, and the text below it."""

    name: str
    declaration: str
    docstring: str | None


def function_entry(name: str, function: Callable[..., Any], level: int = 2) -> str:
    """Heading, signature and docstring."""
    return _entry(name, f"def {signature(function.__name__, function)}", function.__doc__, level)


def class_entry(kind: type, level: int = 2) -> str:
    """Heading, fields and constructor, docstring, then attributes and methods of its own."""
    bases = ", ".join(base.__name__ for base in kind.__bases__ if base.__name__ not in {"object", "ABC"})
    head = f"class {kind.__name__}({bases})" if bases else f"class {kind.__name__}"
    body = [*_fields(kind), *_constructor(kind)]
    declared = head + (":\n" + textwrap.indent("\n".join(body), "    ") if body else "")
    parts = [_entry(kind.__name__, declared, kind.__doc__, level), *_attributes(kind)]
    parts += [_member(kind, name, member, level + 1) for name, member in _members(kind)]
    return "\n\n".join(parts)


def _entry(title: str, code: str, docstring: str | None, level: int) -> str:
    try:
        text = markdown(docstring)
    except ValueError as error:
        raise ValueError(f"{title}: {error}") from None
    shown = f"`{title}`" if "__" in title else title  # not bold
    return f"{'#' * level} {shown}\n\n```python\n{code}\n```\n\n{text}"


def _fields(kind: type) -> list[str]:
    if not is_dataclass(kind):
        return []
    given = inspect.signature(kind).parameters
    declared = []
    for field in fields(kind):
        value = given[field.name].default
        rest = "" if value is inspect.Parameter.empty else f" = {default(value)}"
        declared.append(f"{field.name}: {annotation(field.type)}{rest}")
    return declared


def _constructor(kind: type) -> list[str]:
    if is_dataclass(kind) or "__init__" not in vars(kind):
        return []
    return [f"def {signature('__init__', vars(kind)['__init__'])}"]


def _attributes(kind: type) -> Iterator[str]:
    """A list of class and instance attributes that are declared in the body; a dataclass shows its own above."""
    lines = []
    for attribute in _declared(kind):
        if attribute.name.startswith("_") or is_dataclass(kind):
            continue
        text = f": {' '.join(markdown(attribute.docstring).split())}" if attribute.docstring else ""
        lines.append(f"- `{attribute.declaration}`{text}")
    if lines:
        yield "\n".join(lines)


def _declared(kind: type) -> Iterator[Attribute]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(tree, ast.ClassDef)
    for node, following in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            text = following.value if isinstance(following, ast.Expr) else None
            docstring = text.value if isinstance(text, ast.Constant) else None
            yield Attribute(node.target.id, _short(node), docstring if isinstance(docstring, str) else None)


def _short(node: ast.AnnAssign) -> str:
    """The declaration, without a value that is long."""
    declaration = ast.unparse(node)
    return (
        declaration if len(declaration) <= _LONGEST else f"{ast.unparse(node.target)}: {ast.unparse(node.annotation)}"
    )


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    for name, member in vars(kind).items():
        public = not name.startswith("_") or name == "__call__"
        if public and (inspect.isroutine(member) or isinstance(member, property)):
            yield name, member


def _member(kind: type, name: str, member: Any, level: int) -> str:
    title = f"{kind.__name__}.{name}"
    if isinstance(member, property):
        assert member.fget is not None
        result = annotation(inspect.signature(member.fget).return_annotation)
        return _entry(title, f"@property\n{_prefix(member.fget)}def {name}(self) -> {result}", member.__doc__, level)
    function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
    decorator = f"@{type(member).__name__}\n" if isinstance(member, classmethod | staticmethod) else ""
    return _entry(title, f"{decorator}{_prefix(function)}def {signature(name, function)}", function.__doc__, level)


def _prefix(function: Callable[..., Any]) -> str:
    return "@abstractmethod\n" if getattr(function, "__isabstractmethod__", False) else ""
