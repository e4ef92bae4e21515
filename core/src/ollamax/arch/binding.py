"""Binding: put a file's tensors into a model's parameters, and report everything that does not fit at once."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from ollamax.arch.base import Architecture
from ollamax.errors import BindingError
from ollamax.ml.shape import text
from ollamax.ml.tensor import Tensor, weight
from ollamax.types import TensorInfo

_SHOWN = 20


def bind(model: Architecture, tensors: Mapping[str, TensorInfo], origin: str) -> None:
    """Give every parameter of ``model`` its tensor.

    Raises BindingError that lists all missing, unused and misshapen tensors of ``origin`` on one line.
    """
    nodes = {name: weight(name, info.shape, info.dtype) for name, info in tensors.items()}
    missing: list[str] = []
    used: set[str] = set()
    for path, parameter in model.parameters():
        found = _find(path, parameter.alt, nodes)
        if found is not None:
            parameter.tensor = nodes[found]
            used.add(found)
        elif not parameter.optional:
            missing.append(path)
    ignored = model.ignored_tensors
    unused = [name for name in tensors if name not in used and not _matches(name, ignored)]
    misshapen = _misshapen(model, tensors, used)
    problems = [
        f"{label}: {_list(names)}"
        for label, names in (("missing", missing), ("unused", unused), ("misshapen", misshapen))
        if names
    ]
    if problems:
        raise BindingError(f"{origin} does not fit architecture {model.name}: {'; '.join(problems)}")


def _find(path: str, alt: str | None, nodes: Mapping[str, Tensor]) -> str | None:
    if path in nodes:
        return path
    return alt if alt in nodes else None


def _misshapen(model: Architecture, tensors: Mapping[str, TensorInfo], used: set[str]) -> list[str]:
    shapes = model.tensor_shapes()
    found = []
    for name in tensors:
        expected = next((shape for pattern, shape in shapes.items() if fnmatchcase(name, pattern)), None)
        if expected is None or name not in used:
            continue
        actual = tensors[name].shape
        fits = len(actual) == len(expected) and all(e in (None, a) for a, e in zip(actual, expected, strict=True))
        if not fits:
            wanted = text(tuple("any" if size is None else size for size in expected))
            found.append(f"{name} {text(actual)}, expected {wanted}")
    return found


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
