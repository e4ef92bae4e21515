"""The page of ops: what each takes, gives and means, and who has to run it."""

from __future__ import annotations

from collections.abc import Iterable

from docstring import line, markdown
from ollamax.ml import decompose, ops
from ollamax.ml.ops import COMPOUNDS, LEAVES, Op
from ollamax.ml.reference import IMPLEMENTATIONS
from ollamax.ml.shape_rules import RULES
from ollamax.ml.tensor import const, graph_input, state, weight
from table import code, table

_LEAF_MAKERS = {Op.INPUT: graph_input, Op.WEIGHT: weight, Op.STATE: state, Op.CONST: const}


def operations() -> str:
    """Leaves, primitives and compounds."""
    primitives = [op for op in Op if op not in LEAVES | COMPOUNDS]
    parts = [
        "# Ops",
        markdown(ops.__doc__),
        "Shapes are row-major, and a size may be a symbol ([Architecture](../architecture.md#the-graph)). Every op has "
        "a shape rule (`ollamax.ml.shape_rules`), which raises `GraphError` when the model is traced, and a definition "
        "in plain NumPy (`ollamax.ml.reference`), which every backend is compared with.",
        "## Leaves",
        table(
            ["op", "made by", "meaning"],
            [[code(op), code(maker.__name__), line(maker.__doc__)] for op, maker in _LEAF_MAKERS.items()],
        ),
        "## Primitives",
        "What a backend must run itself.",
        _ops(primitives),
        "## Compounds",
        "What a backend may run as one: those that it does not name are taken apart into primitives by "
        "`ollamax.ml.decompose`, as the last column says.",
        _ops([op for op in Op if op in COMPOUNDS], taken_apart=True),
    ]
    return "\n\n".join(parts)


def _ops(listed: Iterable[Op], taken_apart: bool = False) -> str:
    heads = ["op", "operands, attributes and result", "definition"]
    rows = []
    for op in listed:
        definition = IMPLEMENTATIONS[op].__doc__
        row = [code(op), line(RULES[op].__doc__), line(definition) if definition else ""]
        rows.append([*row, line(decompose.DECOMPOSITIONS[op].__doc__)] if taken_apart else row)
    return table([*heads, "decomposition"] if taken_apart else heads, rows)
