"""A model that sees pictures has two graphs of a step; ONNX Runtime has the weights of both once."""

from collections import Counter
from pathlib import Path

import pytest

import ollamax
from ollamax.ml import Op
from ollamax_backend_onnx.backend import ONNX

pytestmark = pytest.mark.reference


def test_no_weight_is_multiplied_with_in_two_sessions(mllama_checkpoint: Path) -> None:
    with ollamax.load(mllama_checkpoint, backend="onnx") as model:
        (backend,) = [value for value in vars(model.runner).values() if isinstance(value, ONNX)]
        products = Counter(
            node.srcs[1].attrs["name"]
            for program in backend._programs
            for node in program.graph.nodes
            if node.op is Op.LINEAR
        )
    assert len(products) > 50
    assert set(products.values()) == {1}
