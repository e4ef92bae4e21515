"""Files for ONNX Runtime alone: a model for each graph, and their weights in one file beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ollamax.ml import Graph
from ollamax_backend_onnx.builder import external
from ollamax_backend_onnx.emission import emit
from ollamax_backend_onnx.states import ONNXStates
from ollamax_backend_onnx.weights import Weights

WEIGHTS = "weights.data"
_ALIGNMENT = 4096  # of a page, so that a runtime may map each weight


def write(graphs: Mapping[str, Graph], weights: Weights, states: ONNXStates, level: int, directory: Path) -> None:
    """Write ``NAME.onnx`` for each graph; a weight that several use is written once.

    No name from the model's file becomes a path.
    """
    places: dict[str, int] = {}
    with (directory / WEIGHTS).open("wb") as file:
        for name, graph in graphs.items():
            builder = emit(graph, weights, states, level, host=False)
            for key, array in builder.large.items():
                if key not in places:
                    file.seek(-(-file.tell() // _ALIGNMENT) * _ALIGNMENT)
                    places[key] = file.tell()
                    array.tofile(file)
            model = builder.model()
            for tensor in model.graph.initializer:
                if tensor.name in builder.large:
                    offset = places[tensor.name]
                    tensor.CopyFrom(external(tensor.name, builder.large[tensor.name], WEIGHTS, offset))
            (directory / f"{name}.onnx").write_bytes(model.SerializeToString())
