"""Names of intermediate tensors: the path of the module that made them, in a file's own terms.

==================  ================================================================================================
``blk.0.attn_q``    what the module of that path returned; ``blk.0`` is the residual after a block that is called
``blk.0.query``     what attention of that block takes, after rotary embedding, and ``blk.0.key`` likewise
``blk.0.attention``  what attention gives, before the projection behind it
``X.input``         what the module ``X`` was given, where that has no other name
``logits``          the result
==================  ================================================================================================

A second call of a module adds ``#2`` to its name.
"""

from __future__ import annotations

from collections.abc import Sequence

from ollamax.ml.graph import Graph
from ollamax.ml.nn import Module
from ollamax.ml.nn.calls import Call
from ollamax.ml.ops import Op
from ollamax.ml.tensor import Kind, Tensor

_MOVES = (Op.RESHAPE, Op.TRANSPOSE, Op.CONCAT, Op.REPEAT)
LOGITS = "logits"
INPUT = ".input"
QUERY, KEY, ATTENTION = "query", "key", "attention"


def name_tensors(model: Module, calls: Sequence[Call], logits: Tensor) -> dict[str, Tensor]:
    """The named tensors that ``logits`` depend on, in an order in which they can be computed."""
    names = _Names(logits)
    order = Graph({LOGITS: logits}).nodes
    paths = {id(module): path for path, module in model.modules()}
    known = [(paths[id(call.module)], call) for call in calls if id(call.module) in paths]
    for path, call in known:
        names.give(call.result, path)
    for node in order:
        if node.op is Op.ATTENTION:
            _name_attention(names, node)
    for path, call in known:
        if call.inputs and names.of(_same_rows(call.inputs[0])) is None:
            names.give(call.inputs[0], f"{path}{INPUT}")
    return {name: node for node in order if (name := names.of(node)) is not None}


class _Names:
    """One name for each node, one node for each name."""

    def __init__(self, logits: Tensor) -> None:
        self._names = {logits: LOGITS}
        self._taken = {LOGITS: 1}

    def of(self, node: Tensor) -> str | None:
        return self._names.get(node)

    def give(self, node: Tensor, name: str) -> None:
        """Call ``node`` so, unless it has a name, or holds no numbers."""
        if node in self._names or node.kind is not Kind.FLOAT or not node.srcs:
            return
        count = self._taken[name] = self._taken.get(name, 0) + 1
        self._names[node] = name if count == 1 else f"{name}#{count}"


def _name_attention(names: _Names, node: Tensor) -> None:
    query, key = node.srcs[0], _new_rows(node.srcs[1])
    maker = _nearest(names, query)
    if maker is None:
        return
    block = maker.rpartition(".")[0]
    for part, tensor in ((QUERY, query), (KEY, key), (ATTENTION, node)):
        names.give(tensor, f"{block}.{part}".lstrip("."))


def _new_rows(keys: Tensor) -> Tensor:
    """The keys of a step's own tokens, where ``keys`` are those of a cache, perhaps repeated for groups of heads."""
    read = keys
    while read.op in _MOVES:
        read = read.srcs[0]
    if read.op is Op.STATE_READ and read.srcs[0].op is Op.STATE_WRITE:
        return read.srcs[0].srcs[3]
    return keys


def _nearest(names: _Names, node: Tensor) -> str | None:
    """The name of the module whose result ``node`` was made of, following first sources."""
    while names.of(node) is None:
        if not node.srcs:
            return None
        node = node.srcs[0]
    return names.of(node)


def _same_rows(node: Tensor) -> Tensor:
    """What ``node`` only reshapes, or takes rows of."""
    while node.op in (Op.RESHAPE, Op.GATHER):
        node = node.srcs[0]
    return node
