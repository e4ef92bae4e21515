"""Files that weights are written into for the time of a load."""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ollamax.backend import Weight
from ollamax.ml import Graph, Kind, Op
from ollamax.ml.tensor import graph_input, optional, weight
from ollamax.testing.weight_cases import random_weight
from ollamax.types import DType
from ollamax_backend_onnx import weight_files
from ollamax_backend_onnx.backend import ONNX
from ollamax_backend_onnx.weight_files import WeightFiles


@pytest.fixture(params=[DType.Q4_1, DType.F16, DType.BF16], ids=lambda dtype: dtype.name)
def stored(request: pytest.FixtureRequest) -> Weight:
    return random_weight(request.param, 600)  # its parts are larger than what lies within a model


@pytest.fixture
def backend(stored: Weight) -> Iterator[ONNX]:
    backend = ONNX()
    backend.load({stored.name: stored})
    yield backend
    backend.close()


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "temporary"


def computed(backend: ONNX, stored: Weight) -> np.ndarray:
    """What a new program makes of a row of ones."""
    x = graph_input("x", ("T", stored.shape[1]), Kind.FLOAT)
    one = optional(Op.LINEAR, x, weight(stored.name, stored.shape, stored.dtype), extra={})
    program = backend.compile(Graph({"out": one}))
    return program.run({"x": np.ones((1, stored.shape[1]), np.float32)}, {"T": 1})["out"]


def test_they_are_there_for_the_time_of_a_load(
    backend: ONNX, stored: Weight, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    plain = weight_files.WeightFiles.release

    def release(files: WeightFiles) -> bool:
        seen.append(sum(path.stat().st_size for path in temporary.rglob("*") if path.is_file()))
        return plain(files)

    monkeypatch.setattr(weight_files.WeightFiles, "release", release)
    expected = computed(backend, stored)
    assert seen[0] > stored.data.nbytes
    assert not list(temporary.iterdir())
    np.testing.assert_array_equal(computed(backend, stored), expected)  # packed again, for another program
    assert len(seen) == 2


def test_without_them_weights_are_packed_in_memory(
    backend: ONNX, stored: Weight, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = computed(backend, stored)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "missing"))
    np.testing.assert_array_equal(computed(backend, stored), expected)


def test_float32_is_kept_and_is_what_the_weight_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = random_weight(DType.F16, 600)
    monkeypatch.setattr("ollamax_backend_onnx.blocks._CHUNK", 7 * stored.shape[1])
    expected = stored.data.view(np.float16).reshape(stored.shape).astype(np.float32)
    np.testing.assert_array_equal(WeightFiles(tmp_path).whole(stored, threads=2), expected)
    monkeypatch.setattr(weight_files, "dequantize_rows", None)
    np.testing.assert_array_equal(WeightFiles(tmp_path).whole(stored, threads=2), expected)


def test_what_a_killed_process_left_goes_with_the_next(stored: Weight, temporary: Path) -> None:
    for name, age in (("ollamax-onnx-old", 7200), ("ollamax-onnx-new", 60), ("another", 7200)):
        (temporary / name).mkdir()
        os.utime(temporary / name, (time.time() - age,) * 2)
    files = WeightFiles(None)
    assert files.whole(stored, 1).shape == stored.shape
    assert files.release()
    assert sorted(path.name for path in temporary.iterdir()) == ["another", "ollamax-onnx-new"]
