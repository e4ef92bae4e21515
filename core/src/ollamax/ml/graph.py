"""A graph: the nodes that some outputs need, in an order in which they can be computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

from ollamax.errors import GraphError
from ollamax.ml.ops import Op
from ollamax.ml.shape import Shape
from ollamax.ml.tensor import Tensor


class Graph:
    """Named outputs and the state writes that happen on the way.

    ``outputs`` are computed at every run; ``writes`` are final versions of states that no output depends on.
    Raises GraphError when a state is written twice, or is an output.
    """

    def __init__(self, outputs: Mapping[str, Tensor], writes: Iterable[Tensor] = (), name: str = "graph") -> None:
        self.name = name
        self.outputs = dict(outputs)
        for output, node in self.outputs.items():
            if node.op in (Op.STATE, Op.STATE_WRITE):
                raise GraphError(f"output {output!r} of {name} is a state; use state_read, or name it in writes")
        self.nodes = _topological([*self.outputs.values(), *writes])
        self.writes = self._final_writes()

    @cached_property
    def inputs(self) -> dict[str, Tensor]:
        """Input nodes by name."""
        return self._leaves(Op.INPUT)

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """Weight nodes by name."""
        return self._leaves(Op.WEIGHT)

    @cached_property
    def states(self) -> dict[str, Tensor]:
        """State nodes by name."""
        return self._leaves(Op.STATE)

    @cached_property
    def users(self) -> dict[Tensor, list[Tensor]]:
        """For each node, the nodes that read it: what a backend needs to fuse."""
        users: dict[Tensor, list[Tensor]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            for src in dict.fromkeys(node.srcs):
                users[src].append(node)
        return users

    @cached_property
    def dims(self) -> frozenset[str]:
        """Every symbol that a run must give a value."""
        found: set[str] = set()
        for node in self.nodes:
            found.update(size for size in node.shape if isinstance(size, str))
        return frozenset(found)

    def _leaves(self, op: Op) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for node in self.nodes:
            if node.op is op and found.setdefault(node.attrs["name"], node) is not node:
                raise GraphError(f"{self.name} has two {op} nodes called {node.attrs['name']!r}; make one and share it")
        return found

    def _final_writes(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for node in self.nodes:
            if node.op is Op.STATE_WRITE:
                name = state_name(node)
                if name in found:
                    raise GraphError(f"{self.name} writes state {name!r} twice; a run may write a state at most once")
                found[name] = node
        return found


def state_name(node: Tensor) -> str:
    """The name of the state that a version (or the state itself) belongs to."""
    while node.op is not Op.STATE:
        node = node.srcs[0]
    return str(node.attrs["name"])


def rebuild(graph: Graph, change: Mapping[Tensor, Tensor]) -> Graph:
    """The graph with its outputs and writes replaced according to ``change``."""
    outputs = {name: change[node] for name, node in graph.outputs.items()}
    return Graph(outputs, [change[node] for node in graph.writes.values()], graph.name)


def shapes(graph: Graph) -> dict[str, Shape]:
    """The shape of every output."""
    return {name: node.shape for name, node in graph.outputs.items()}


def _topological(roots: Iterable[Tensor]) -> list[Tensor]:
    """Sources before users; iterative, since a deep model outgrows Python's stack."""
    order: dict[Tensor, None] = {}
    stack = [(root, False) for root in reversed(list(roots))]
    while stack:
        node, ready = stack.pop()
        if node in order:
            continue
        if ready:
            order[node] = None
        else:
            stack.append((node, True))
            stack.extend((src, False) for src in reversed(node.srcs) if src not in order)
    return list(order)
