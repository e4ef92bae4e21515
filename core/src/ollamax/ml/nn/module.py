"""Modules: the attribute path of a parameter is its tensor name in the GGUF file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ollamax.errors import GraphError
from ollamax.ml.nn.calls import observed
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
    """Holds parameters, modules and lists of modules as attributes.

    What a module's ``__call__`` returns is known by the module's path wherever intermediate tensors are named
    (``blk.3.attn_q``), so a block that is called gives the residual its name (``blk.3``).
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        call: Callable[..., Any] | None = vars(cls).get("__call__")
        if call is not None:
            setattr(cls, "__call__", observed(call))  # noqa: B010 - mypy lets no method be assigned

    def modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Every module below this one with its path, such as ``blk.3.attn_q``."""
        for name, value in vars(self).items():
            listed = enumerate(value) if isinstance(value, list) else ()
            for path, item in ((name, value), *((f"{name}.{index}", item) for index, item in listed)):
                if isinstance(item, Module):
                    yield f"{prefix}{path}", item
                    yield from item.modules(f"{prefix}{path}.")

    def parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter with its path, such as ``blk.3.attn_q.weight``."""
        for path, module in (("", self), *self.modules()):
            for name, value in vars(module).items():
                if isinstance(value, Parameter):
                    yield f"{path}.{name}".lstrip("."), value
