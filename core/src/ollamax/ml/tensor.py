"""A tensor is one immutable node of a graph; a method adds a node and computes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from ollamax.errors import GraphError
from ollamax.ml.ops import Op
from ollamax.ml.shape import Dim, Shape
from ollamax.types import DType


class Kind(StrEnum):
    """What the elements are; their width is the backend's choice."""

    FLOAT = "float"
    INT = "int"
    BOOL = "bool"


@dataclass(frozen=True, eq=False, slots=True)
class Tensor:
    """The result of ``op`` on ``srcs``; ``attrs`` are its constants, ``shape`` may hold symbols.

    Nodes compare by identity: two equal-looking nodes are two computations.
    """

    op: Op
    srcs: tuple[Tensor, ...]
    shape: Shape
    kind: Kind
    attrs: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __repr__(self) -> str:
        name = self.attrs.get("name")
        return f"Tensor({self.op}{f' {name}' if name else ''} {self.shape})"

    def __add__(self, other: Tensor | float) -> Tensor:
        return apply(Op.ADD, self, other)

    def __radd__(self, other: float) -> Tensor:
        return apply(Op.ADD, other, self)

    def __sub__(self, other: Tensor | float) -> Tensor:
        return apply(Op.SUB, self, other)

    def __rsub__(self, other: float) -> Tensor:
        return apply(Op.SUB, other, self)

    def __mul__(self, other: Tensor | float) -> Tensor:
        return apply(Op.MUL, self, other)

    def __rmul__(self, other: float) -> Tensor:
        return apply(Op.MUL, other, self)

    def __truediv__(self, other: Tensor | float) -> Tensor:
        return apply(Op.DIV, self, other)

    def __rtruediv__(self, other: float) -> Tensor:
        return apply(Op.DIV, other, self)

    def __neg__(self) -> Tensor:
        return apply(Op.NEG, self)

    def __matmul__(self, other: Tensor) -> Tensor:
        return apply(Op.MATMUL, self, other)

    def reshape(self, *shape: Dim) -> Tensor:
        """The same elements in another shape of the same size."""
        return apply(Op.RESHAPE, self, shape=shape)

    def transpose(self, *axes: int) -> Tensor:
        """Axes in a new order; without arguments the last two change places."""
        rank = len(self.shape)
        order = axes or (*range(rank - 2), rank - 1, rank - 2)
        return apply(Op.TRANSPOSE, self, axes=tuple(order))

    def slice(self, axis: int, start: int, stop: int) -> Tensor:
        """Elements ``start`` to ``stop`` of an axis of known size."""
        return apply(Op.SLICE, self, axis=axis, start=start, stop=stop)

    def repeat(self, axis: int, times: int) -> Tensor:
        """Each element of an axis of known size ``times`` times in a row (as ``numpy.repeat``)."""
        return apply(Op.REPEAT, self, axis=axis, times=times)

    def sum(self, axis: int = -1) -> Tensor:
        """Sum over an axis, which stays with size 1."""
        return apply(Op.SUM, self, axis=axis)

    def mean(self, axis: int = -1) -> Tensor:
        """Mean over an axis, which stays with size 1."""
        return apply(Op.MEAN, self, axis=axis)

    def max(self, axis: int = -1) -> Tensor:
        """Largest element of an axis, which stays with size 1."""
        return apply(Op.MAX, self, axis=axis)

    def split_heads(self, heads: int, head_dim: int) -> Tensor:
        """``(N, T, heads * head_dim)`` to ``(N, T, heads, head_dim)``."""
        return self.reshape(*self.shape[:-1], heads, head_dim)

    def merge_heads(self) -> Tensor:
        """``(N, T, heads, head_dim)`` to ``(N, T, heads * head_dim)``."""
        *batch, heads, width = self.shape
        if not isinstance(heads, int) or not isinstance(width, int):
            raise GraphError(f"heads of {self!r} have no fixed size")
        return self.reshape(*batch, heads * width)


def apply(op: Op, *operands: Tensor | float, **attrs: Any) -> Tensor:
    """The node for ``op``; numbers become constants. Raises GraphError when the shapes do not fit."""
    from ollamax.ml.shape_rules import infer

    srcs = tuple(item if isinstance(item, Tensor) else const(item) for item in operands)
    shape, kind = infer(op, srcs, attrs)
    return Tensor(op, srcs, shape, kind, MappingProxyType(attrs))


def optional(op: Op, *required: Tensor, extra: Mapping[str, Tensor | None], **attrs: Any) -> Tensor:
    """A node whose trailing sources may be absent; ``attrs["optional"]`` names those that are there."""
    present = {name: tensor for name, tensor in extra.items() if tensor is not None}
    return apply(op, *required, *present.values(), optional=tuple(present), **attrs)


def extra_sources(node: Tensor) -> dict[str, Tensor]:
    """The optional sources of ``node`` by name."""
    names = node.attrs["optional"]
    return dict(zip(names, node.srcs[len(node.srcs) - len(names) :], strict=True))


def const(value: Any) -> Tensor:
    """A constant: a number, or a NumPy array."""
    kind = Kind.FLOAT
    kinds = {"b": Kind.BOOL, "i": Kind.INT, "u": Kind.INT, "f": Kind.FLOAT}
    if isinstance(value, bool | int):
        kind = Kind.BOOL if isinstance(value, bool) else Kind.INT
        shape: Shape = ()
    elif isinstance(value, float):
        shape = ()
    else:
        kind, shape = kinds[value.dtype.kind], tuple(value.shape)
    return Tensor(Op.CONST, (), shape, kind, MappingProxyType({"value": value}))


def graph_input(name: str, shape: Sequence[Dim], kind: Kind = Kind.INT, bound: Dim | None = None) -> Tensor:
    """A value given at every run.

    ``bound`` is an exclusive upper limit for integers (a number or a symbol): core checks 0 <= value < bound before
    a backend sees the input.
    """
    return Tensor(Op.INPUT, (), tuple(shape), kind, MappingProxyType({"name": name, "bound": bound}))


def weight(name: str, shape: Sequence[int], dtype: DType = DType.F32) -> Tensor:
    """A parameter, stored as ``dtype``."""
    return Tensor(Op.WEIGHT, (), tuple(shape), Kind.FLOAT, MappingProxyType({"name": name, "dtype": dtype}))


def state(name: str, shape: Sequence[int]) -> Tensor:
    """A value that outlives a run, zero at first: ``(slots, cells, ...)``. The backend owns it, keyed by name."""
    return Tensor(Op.STATE, (), tuple(shape), Kind.FLOAT, MappingProxyType({"name": name}))


def state_write(target: Tensor, slots: Tensor, rows: Tensor, values: Tensor) -> Tensor:
    """The state's next version, with ``values (N, T, ...)`` in cells ``rows (N, T)`` of sequences ``slots (N,)``."""
    return apply(Op.STATE_WRITE, target, slots, rows, values)


def state_read(target: Tensor, slots: Tensor, cells: Dim = "S") -> Tensor:
    """The first ``cells`` cells of sequences ``slots (N,)``: ``(N, cells, ...)``."""
    return apply(Op.STATE_READ, target, slots, cells=cells)


def gather(values: Tensor, rows: Tensor) -> Tensor:
    """Rows of each sequence: ``(N, T, ...)`` at ``rows (N, R)`` gives ``(N, R, ...)``."""
    return apply(Op.GATHER, values, rows)


def concat(tensors: Sequence[Tensor], axis: int = -1) -> Tensor:
    """Tensors joined along an axis of known size."""
    return apply(Op.CONCAT, *tensors, axis=axis)


def where(condition: Tensor, yes: Tensor | float, no: Tensor | float) -> Tensor:
    """``yes`` where the condition holds, else ``no``."""
    return apply(Op.WHERE, condition, yes, no)


def cast(value: Tensor, kind: Kind) -> Tensor:
    """The same values as another kind."""
    return apply(Op.CAST, value, kind=kind)
