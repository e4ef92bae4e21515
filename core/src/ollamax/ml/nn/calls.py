"""The calls of modules while a model is traced: what gives intermediate tensors their names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from ollamax.ml.tensor import Tensor


@dataclass(frozen=True, slots=True)
class Call:
    """``module`` was called with the tensors ``inputs`` and returned ``result``."""

    module: object
    inputs: tuple[Tensor, ...]
    result: Tensor


@dataclass(slots=True)
class _Recording:
    calls: list[Call] = field(default_factory=list)
    running: list[object] = field(default_factory=list)


_current: ContextVar[_Recording | None] = ContextVar("calls of modules", default=None)


@contextmanager
def recording() -> Iterator[list[Call]]:
    """The calls of modules within the block, each when it returns."""
    found = _Recording()
    token = _current.set(found)
    try:
        yield found.calls
    finally:
        _current.reset(token)


def observed(call: Callable[..., Any]) -> Callable[..., Any]:
    """``call``, the ``__call__`` of a module, which a recording sees."""

    @wraps(call)
    def recorded(module: object, *inputs: Any, **options: Any) -> Any:
        found = _current.get()
        # A subclass that calls its base's is one call.
        if found is None or (found.running and found.running[-1] is module):
            return call(module, *inputs, **options)
        found.running.append(module)
        try:
            result = call(module, *inputs, **options)
        finally:
            found.running.pop()
        if isinstance(result, Tensor):
            tensors = tuple(item for item in (*inputs, *options.values()) if isinstance(item, Tensor))
            found.calls.append(Call(module, tensors, result))
        return result

    return recorded
