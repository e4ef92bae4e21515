"""Every type that the library computes with: rows and products of weights that it quantised, packed and in place."""

import ctypes

import numpy as np
import pytest

from ollamax.backend import BackendOptions, Weight
from ollamax.errors import BackendError
from ollamax.ml import Graph, Kind, Op
from ollamax.ml.dtype import dequantize
from ollamax.ml.tensor import apply, graph_input, optional, weight
from ollamax.types import DType
from ollamax_backend_ggml.backend import GGML
from ollamax_backend_ggml.library import UNUSABLE, library

# Largest error of a product, as a share of its largest value. Activations are float32, rounded to the type of a float
# weight, and 8-bit blocks of 32 (or 256, for K-quants and their like) for a quantised one.
TOLERANCE = {DType.F32: 1e-6, DType.F16: 1e-3, DType.BF16: 8e-3}
QUANTIZED = 1.5e-2
WIDTH = 512


STORED = sorted(set(DType) - UNUSABLE)


def quantized(values: np.ndarray, dtype: DType) -> np.ndarray:
    """``values (rows, width)`` as the library stores them, each column of equal weight where a type asks for that."""
    rows, width = values.shape
    flat = np.ascontiguousarray(values, np.float32)
    out = np.zeros(rows * dtype.row_bytes(width), np.uint8)
    weights = np.ones(width, np.float32)
    written = library().quantize_chunk(dtype, flat.ctypes.data, out.ctypes.data, 0, rows, width, weights.ctypes.data)
    assert written == out.nbytes
    return out


def dequantized(data: np.ndarray, dtype: DType, shape: tuple[int, int]) -> np.ndarray:
    """The values by the library's own conversion."""
    if dtype is DType.F32:
        return data.view(np.float32).reshape(shape)
    out = np.empty(shape, np.float32)
    traits = library().struct("type_traits").from_address(library().get_type_traits(dtype))
    convert = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(
        ctypes.cast(traits.to_float, ctypes.c_void_p).value or 0
    )
    convert(data.ctypes.data, out.ctypes.data, out.size)
    return out


def random_weight(rows: int, dtype: DType) -> tuple[np.ndarray, np.ndarray]:
    """Stored bytes and the values that they stand for."""
    values = np.random.default_rng(int(dtype)).normal(size=(rows, WIDTH)).astype(np.float32)
    data = quantized(values, dtype)
    return data, dequantized(data, dtype, (rows, WIDTH))


@pytest.mark.parametrize("dtype", STORED, ids=lambda dtype: dtype.name)
def test_core_decodes_as_the_library_does(dtype: DType) -> None:
    data, values = random_weight(4, dtype)
    np.testing.assert_allclose(dequantize(data, dtype, values.shape), values, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("rows", [24, 21])
@pytest.mark.parametrize("dtype", STORED, ids=lambda dtype: dtype.name)
def test_rows_and_products(dtype: DType, rows: int, threads: int) -> None:
    """Tied, so that the matrix is packed where it can be (24 rows, not 21) and the table stays in place."""
    data, values = random_weight(rows, dtype)
    table, x = weight("w", (rows, WIDTH), dtype), graph_input("x", ("T", WIDTH), Kind.FLOAT)
    ids = graph_input("ids", ("N", "T"), bound=rows)
    graph = Graph({"linear": optional(Op.LINEAR, x, table, extra={}), "embedding": apply(Op.EMBEDDING, table, ids)})
    backend = GGML(BackendOptions(threads=threads))
    backend.load({"w": Weight("w", dtype, (rows, WIDTH), data)})
    given = np.random.default_rng(1).normal(size=(3, WIDTH)).astype(np.float32)
    inputs = {"x": given, "ids": np.array([[3, 0, rows - 1]])}
    result = backend.compile(graph).run(inputs, {"N": 1, "T": 3})
    np.testing.assert_array_equal(result["embedding"][0], values[inputs["ids"][0]])
    expected = given @ values.T
    tolerance = TOLERANCE.get(dtype, QUANTIZED) * np.abs(expected).max()
    np.testing.assert_allclose(result["linear"], expected, rtol=0, atol=tolerance)
    backend.close()


@pytest.mark.parametrize("dtype", [DType.Q4_0, DType.Q4_K], ids=lambda dtype: dtype.name)
def test_products_of_any_number_of_rows(dtype: DType) -> None:
    """Rows beyond whole tiles are filled up, and the filling is seen by nobody."""
    data, values = random_weight(24, dtype)
    x = graph_input("x", ("T", WIDTH), Kind.FLOAT)
    out = optional(Op.LINEAR, x, weight("w", (24, WIDTH), dtype), extra={"bias": weight("b", (24,))})
    bias = np.arange(24, dtype=np.float32)
    backend = GGML()
    stored = Weight("b", DType.F32, (24,), bias.view(np.uint8))
    backend.load({"w": Weight("w", dtype, (24, WIDTH), data), "b": stored})
    program = backend.compile(Graph({"out": out, "sum": out.sum(0)}))
    given = np.random.default_rng(1).normal(size=(19, WIDTH)).astype(np.float32)
    whole = given @ values.T + bias
    tolerance = QUANTIZED * np.abs(whole).max()
    for rows in range(1, 20):
        found = program.run({"x": given[:rows]}, {"T": rows})
        np.testing.assert_allclose(found["out"], whole[:rows], rtol=0, atol=tolerance)
        np.testing.assert_allclose(found["sum"], found["out"].sum(0, keepdims=True), rtol=1e-4, atol=1e-3)
    backend.close()


@pytest.mark.parametrize("dtype", sorted(UNUSABLE), ids=lambda dtype: dtype.name)
def test_types_without_products_are_refused(dtype: DType) -> None:
    data = np.zeros(2 * dtype.row_bytes(256), np.uint8)
    backend = GGML()
    backend.load({"w": Weight("w", dtype, (2, 256), data)})
    with pytest.raises(BackendError, match=f"'w' is {dtype.name}, which ggml does not compute with"):
        backend.compile(Graph({"out": weight("w", (2, 256), dtype) + 1.0}))


def test_a_kernel_of_a_convolution_in_float16() -> None:
    random = np.random.default_rng(0)
    kernel = random.normal(size=(4, 3, 2, 2)).astype(np.float16)
    x = graph_input("x", (2, 3, 6, 4), Kind.FLOAT)
    graph = Graph({"out": optional(Op.CONV2D, x, weight("k", (4, 3, 2, 2), DType.F16), extra={}, stride=2, padding=0)})
    backend = GGML()
    backend.load({"k": Weight("k", DType.F16, (4, 3, 2, 2), kernel.view(np.uint8).reshape(-1))})
    given = random.normal(size=(2, 3, 6, 4)).astype(np.float32)
    found = backend.compile(graph).run({"x": given}, {})["out"]
    windows = given.reshape(2, 3, 3, 2, 2, 2).transpose(0, 2, 4, 1, 3, 5)
    expected = np.einsum("nrcxhw,oxhw->norc", windows, kernel.astype(np.float32))
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-3 * np.abs(expected).max())
    backend.close()
