"""Files that weights are written into for the time of a load."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ollamax.backend import Weight
from ollamax.ml import Graph, Kind, Op
from ollamax.ml.tensor import apply, graph_input, optional, weight
from ollamax.testing.weight_cases import random_weight
from ollamax.types import DType
from ollamax_backend_onnx import weight_files
from ollamax_backend_onnx.backend import ONNX
from ollamax_backend_onnx.emission import emit
from ollamax_backend_onnx.weight_files import WeightFiles
from ollamax_backend_onnx.weights import Weights


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


def make_and_release(stored: Weight) -> None:
    """A file, and its end."""
    files = WeightFiles(None)
    assert files.whole(stored, 1)[1] is not None
    files.release()


def test_they_are_there_for_the_time_of_a_load(
    backend: ONNX, stored: Weight, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    plain = weight_files.WeightFiles.remove

    def remove(files: WeightFiles, file: Path | None) -> None:
        seen.append(sum(path.stat().st_size for path in temporary.rglob("*") if path.is_file()))
        plain(files, file)

    monkeypatch.setattr(weight_files.WeightFiles, "remove", remove)
    expected = computed(backend, stored)
    assert seen[0] > stored.data.nbytes
    assert not list(temporary.iterdir())
    np.testing.assert_array_equal(computed(backend, stored), expected)  # packed again, for another program
    assert len(seen) == 2


def test_a_file_goes_when_all_sessions_that_need_it_have_it(stored: Weight, temporary: Path) -> None:
    weights, names = Weights({stored.name: stored}), [stored.name]
    weights.expect(names * 2)
    make = weights.packed if stored.dtype is DType.Q4_1 else weights.matrix

    def files() -> int:
        return sum(path.stat().st_size > 0 for path in temporary.rglob("*") if path.is_file())

    make(stored.name)
    assert files() == 1
    weights.taken(names)
    assert files() == 1
    weights.taken(names)
    assert files() == 0
    weights.release()


def test_the_last_operation_comes_first_so_that_its_weight_is_packed_first(backend: ONNX, stored: Weight) -> None:
    x = graph_input("x", ("T", stored.shape[1]), Kind.FLOAT)
    one = Graph(
        {"out": optional(Op.LINEAR, apply(Op.EXP, x), weight(stored.name, stored.shape, stored.dtype), extra={})}
    )
    nodes = [node.op_type for node in emit(one, backend._weights, backend.states, 4).model().graph.node]
    assert (nodes[0], nodes[-1]) == ("Identity", "Exp")


def test_without_them_weights_are_packed_in_memory(
    backend: ONNX, stored: Weight, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = computed(backend, stored)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "missing"))
    np.testing.assert_array_equal(computed(backend, stored), expected)


@pytest.mark.skipif(sys.platform != "linux", reason="other platforms have no such names")
def test_a_temporary_directory_whose_name_is_not_utf8_is_not_used(
    backend: ONNX, stored: Weight, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, odd = computed(backend, stored), temporary / os.fsdecode(b"\xff")
    odd.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(odd))
    np.testing.assert_array_equal(computed(backend, stored), expected)
    assert not list(odd.iterdir())


def test_float32_is_kept_and_is_what_the_weight_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = random_weight(DType.F16, 600)
    monkeypatch.setattr("ollamax_backend_onnx.blocks._CHUNK", 7 * stored.shape[1])
    expected = stored.data.view(np.float16).reshape(stored.shape).astype(np.float32)
    np.testing.assert_array_equal(WeightFiles(tmp_path).whole(stored, threads=2)[0], expected)
    monkeypatch.setattr(weight_files, "dequantize_rows", None)
    np.testing.assert_array_equal(WeightFiles(tmp_path).whole(stored, threads=2)[0], expected)


def test_what_a_killed_process_left_goes_with_the_next(stored: Weight, temporary: Path) -> None:
    for name, days in (("ollamax-onnx-old", 2), ("ollamax-onnx-new", 0.5), ("another", 2)):
        (temporary / name).mkdir()
        os.utime(temporary / name, (time.time() - days * 86400,) * 2)
    make_and_release(stored)
    assert sorted(path.name for path in temporary.iterdir()) == ["another", "ollamax-onnx-new"]


def test_what_others_left_is_let_alone(stored: Weight, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (temporary / "ollamax-onnx-old").mkdir()
    os.utime(temporary / "ollamax-onnx-old", (0, 0))
    monkeypatch.setattr(os, "getuid", lambda: 12345, raising=False)
    make_and_release(stored)
    monkeypatch.undo()
    assert [path.name for path in temporary.iterdir()] == ["ollamax-onnx-old"]


def test_what_cannot_be_removed_is_no_error(stored: Weight, monkeypatch: pytest.MonkeyPatch, temporary: Path) -> None:
    plain = shutil.rmtree

    def fail(path: Any, *more: Any, **settings: Any) -> None:
        if str(path).endswith("-old"):
            raise RecursionError  # as for directories that are a thousand deep
        plain(path, *more, **settings)

    (temporary / "ollamax-onnx-old").mkdir()
    os.utime(temporary / "ollamax-onnx-old", (0, 0))
    monkeypatch.setattr(shutil, "rmtree", fail)
    make_and_release(stored)
    assert [path.name for path in temporary.iterdir()] == ["ollamax-onnx-old"]


def test_an_op_that_uses_a_weight_in_memory_does_not_meet_its_file() -> None:
    stored, backend = random_weight(DType.F16, 600), ONNX()
    backend.load({stored.name: stored})
    x, matrix = graph_input("x", ("T", stored.shape[1]), Kind.FLOAT), weight(stored.name, stored.shape, stored.dtype)
    product = optional(Op.LINEAR, x, matrix, extra={})
    both = Graph({"out": product + apply(Op.MATMUL, x, matrix.transpose(1, 0))})
    builder = emit(both, backend._weights, backend.states, 4)
    assert (list(builder.large), list(builder._placed)) == (
        [f"weight.{stored.name}"],
        [f"weight.{stored.name}.float32"],
    )
    backend.close()


def test_what_fails_leaves_neither_files_nor_sessions(
    backend: ONNX, stored: Weight, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("ollamax_backend_onnx.program.open_session", fail)
        with pytest.raises(MemoryError):
            computed(backend, stored)
    assert not list(temporary.iterdir())
    assert not backend._programs
    assert computed(backend, stored).shape == (1, stored.shape[0])
