"""How many bytes of weights a decode step reads."""

import pytest

from ollamax.backend import Backend
from ollamax.engine.weight_bytes import step_bytes
from ollamax.ml import Graph, Kind, Op
from ollamax.ml.ops import LEAVES
from ollamax.ml.tensor import apply, graph_input, optional, weight
from ollamax.types import DType, TensorInfo

ROWS, WIDTH = 100, 64
TABLE, MATRIX, NORM = ROWS * WIDTH // 32 * 18, ROWS * WIDTH // 32 * 34, 4 * WIDTH
TENSORS = {
    "table": TensorInfo("table", DType.Q4_0, (ROWS, WIDTH)),
    "matrix": TensorInfo("matrix", DType.Q8_0, (ROWS, WIDTH)),
    "norm": TensorInfo("norm", DType.F32, (WIDTH,)),
    "unused": TensorInfo("unused", DType.F32, (WIDTH,)),
}


class Stored(Backend):
    ops = frozenset(Op) - LEAVES
    probe = load = build = close = None


class Unpacked(Stored):
    def read_bytes(self, matrix):
        return 4 * matrix.elements


def graph(output):
    table, norm = weight("table", (ROWS, WIDTH), DType.Q4_0), weight("norm", (WIDTH,))
    hidden = apply(Op.EMBEDDING, table, graph_input("tokens", ("T",), Kind.INT)) * norm
    multiplied = table if output == "table" else weight("matrix", (ROWS, WIDTH), DType.Q8_0)
    return Graph({"logits": optional(Op.LINEAR, hidden, multiplied, extra={})})


@pytest.mark.parametrize(
    ("output", "backend", "expected"),
    [
        ("matrix", Stored, TABLE // ROWS + MATRIX + NORM),  # one row of the table
        ("table", Stored, TABLE + NORM),  # tied: the table is multiplied with, too
        ("matrix", Unpacked, TABLE // ROWS + 4 * ROWS * WIDTH + NORM),
    ],
)
def test_a_step_reads_each_matrix_once_and_one_row_of_a_table(output, backend, expected):
    assert step_bytes(graph(output), TENSORS, backend()) == expected
