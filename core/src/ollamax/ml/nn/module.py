"""Modules: the attribute path of a parameter is its tensor name in the GGUF file."""

from __future__ import annotations

from collections.abc import Iterator

from ollamax.errors import GraphError
from ollamax.ml.tensor import Tensor


class Parameter:
    """A place for a weight, filled when the model is bound to a file.

    ``optional`` parameters may be absent. ``alt`` is the full name of a tensor that serves when this one is absent
    (a tied output).
    """

    def __init__(self, optional: bool = False, alt: str | None = None) -> None:
        self.optional, self.alt = optional, alt
        self.tensor: Tensor | None = None

    @property
    def value(self) -> Tensor:
        """The bound weight; raises GraphError before binding."""
        if self.tensor is None:
            raise GraphError("a parameter is used before it was bound to a file, or is absent from it")
        return self.tensor


class Module:
    """Holds parameters, modules and lists of modules as attributes."""

    def parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """Every parameter with its path, such as ``blk.3.attn_q.weight``."""
        for name, value in vars(self).items():
            if isinstance(value, Parameter):
                yield f"{prefix}{name}", value
            elif isinstance(value, Module):
                yield from value.parameters(f"{prefix}{name}.")
            elif isinstance(value, list):
                for index, item in enumerate(value):
                    if isinstance(item, Module):
                        yield from item.parameters(f"{prefix}{name}.{index}.")
