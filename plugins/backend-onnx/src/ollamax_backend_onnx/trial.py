"""A small step that a provider has to compute as core's reference does, before it is trusted with a model.

Providers take over what they claim of a model, and not all of them compute it: some fail at the first run, some leave
an attribute out without a word. The processor's is tested where this package is; others are tried where they run.
"""

from __future__ import annotations

import numpy as np

from ollamax.backend import States, Weight
from ollamax.errors import BackendError, one_line
from ollamax.ml import Graph, Kind, Op, Tensor, nn
from ollamax.ml.dtype import dequantize, quantize
from ollamax.ml.reference import evaluate
from ollamax.ml.tensor import graph_input, optional, state, state_read, state_write, weight
from ollamax.types import DType
from ollamax_backend_onnx.cancellation import Runs
from ollamax_backend_onnx.emission import emit
from ollamax_backend_onnx.program import ONNXProgram
from ollamax_backend_onnx.states import ONNXState
from ollamax_backend_onnx.weights import Weights

_WIDTH, _HEADS, _GROUPS, _HEAD = 128, 4, 2, 32
_SHAPES = {
    "q": (DType.Q4_0, (_HEADS * _HEAD, _WIDTH)),
    "k": (DType.Q8_0, (_GROUPS * _HEAD, _WIDTH)),
    "v": (DType.F32, (_GROUPS * _HEAD, _WIDTH)),
    "norm": (DType.F32, (_WIDTH,)),
}
_DIMS = {"N": 2, "T": 3, "S": 6}
_SLOTS, _CELLS = 3, 9
_TOLERANCE = 0.05
"""Of the largest value: more than activations of 8 bits are off by, less than what a fault in one operation does."""


def attempt(provider: str, threads: int, level: int) -> None:
    """Raise BackendError unless ``provider`` computes the step; one that does not start is named too."""
    graph, inputs, stored = _graph(), _inputs(), _weights()
    states = States[ONNXState]("onnx", DType.F32)
    states.open(graph, lambda name, shape: ONNXState(name, shape, DType.F32))
    runs = Runs()
    try:
        program = ONNXProgram(graph, emit(graph, Weights(stored), states, level), runs, provider, threads)
        found = program.run(inputs, _DIMS)["out"]
        program.close()
    except BackendError as error:
        raise BackendError(f"{one_line(str(error), 300)} (in a trial of {provider}); take device cpu") from error
    finally:
        runs.close()
    values = {name: dequantize(one.data, one.dtype, one.shape) for name, one in stored.items()}
    expected = evaluate(graph, inputs, _DIMS, values)["out"]
    off, largest = np.abs(found - expected).max(), np.abs(expected).max()
    if not off <= _TOLERANCE * largest:  # not a number is as wrong
        raise BackendError(
            f"backend onnx: {provider} computes a trial step wrongly here (off by {off:.2g}, where values reach "
            f"{largest:.2g}); take device cpu"
        )


def _graph() -> Graph:
    """A norm, products with weights of several types, rotations, and attention over states that the step writes."""
    x, slots = graph_input("x", ("N", "T", _WIDTH), Kind.FLOAT), graph_input("slots", ("N",), bound=_SLOTS)
    rows, positions = graph_input("rows", ("N", "T"), bound="S"), graph_input("positions", ("N", "T"))
    used = {name: weight(name, shape, dtype) for name, (dtype, shape) in _SHAPES.items()}
    normed = optional(Op.RMS_NORM, x, extra={"weight": used["norm"]}, eps=1e-5)
    rope = nn.Rope(base=10000.0, dims=_HEAD, pairing="halves")

    def heads(name: str, number: int) -> Tensor:
        return optional(Op.LINEAR, normed, used[name], extra={}).split_heads(number, _HEAD)

    def kept(name: str, value: Tensor) -> Tensor:
        held = state(name, (_SLOTS, _CELLS, _GROUPS, _HEAD))
        return state_read(state_write(held, slots, rows, value), slots)

    keys, values = kept("keys", rope(heads("k", _GROUPS), positions)), kept("values", heads("v", _GROUPS))
    mask = nn.causal_mask(positions, graph_input("cells", ("N", "S")))
    return Graph({"out": nn.attention(rope(heads("q", _HEADS), positions), keys, values, mask)}, name="the trial step")


def _inputs() -> dict[str, np.ndarray]:
    """Two sequences in slots of another order, in cells with holes between them."""
    x = np.random.default_rng(0).normal(size=(_DIMS["N"], _DIMS["T"], _WIDTH)).astype(np.float32)
    rows, cells = np.array([[4, 1, 0], [2, 3, 5]]), np.full((_DIMS["N"], _DIMS["S"]), -1)
    positions = np.array([[0, 1, 2], [5, 6, 7]])
    np.put_along_axis(cells, rows, positions, axis=1)
    return {"x": x, "slots": np.array([2, 0]), "rows": rows, "positions": positions, "cells": cells}


def _weights() -> dict[str, Weight]:
    random, made = np.random.default_rng(1), {}
    for name, (dtype, shape) in _SHAPES.items():
        values = random.normal(size=shape).astype(np.float32) * np.float32(0.3)
        made[name] = Weight(name, dtype, shape, quantize(values, dtype).reshape(-1).view(np.uint8))
    return made
