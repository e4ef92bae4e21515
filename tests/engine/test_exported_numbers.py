"""Every run that a model makes on cpu, made by ONNX Runtime alone on exported files: the same numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from random_llama import write_random_llama
from random_mllama import PICTURES
from random_qwen2 import write_random_qwen2

import ollamax
from ollamax.backend import Program
from ollamax.engine.export import export
from ollamax.ml import Graph
from ollamax_backend_cpu import program

Run = tuple[Graph, Mapping[str, Any], Mapping[str, int], dict[str, np.ndarray]]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """The runs of programs on cpu from now on."""
    seen: list[Run] = []
    plain = Program.run

    def run(self: Program, inputs: Mapping[str, Any], dims: Mapping[str, int]) -> dict[str, np.ndarray]:
        found = plain(self, inputs, dims)
        seen.append((self.graph, {name: np.array(value) for name, value in inputs.items()}, dict(dims), found))
        return found

    monkeypatch.setattr(program.CPUProgram, "run", run)
    return seen


class Exported:
    """The files of a directory, with one set of caches."""

    def __init__(self, directory: Path) -> None:
        paths = directory.glob("*.onnx")
        self.sessions = {
            path.stem: onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]) for path in paths
        }
        self.caches: dict[str, np.ndarray] = {}

    def run(
        self, graph: Graph, inputs: Mapping[str, Any], dims: Mapping[str, int]
    ) -> tuple[str, dict[str, np.ndarray]]:
        """The name of the file that takes ``inputs``, and its outputs that are no caches."""
        (name,) = (
            name
            for name, session in self.sessions.items()
            if {node.name for node in session.get_inputs() if "." not in node.name} == set(inputs)
        )
        session, given = self.sessions[name], {}
        for node in session.get_inputs():
            if node.name in inputs:
                given[node.name] = np.asarray(inputs[node.name], KINDS[node.type])
                continue
            cells = graph.states[node.name].shape[1]
            cache = self.caches.setdefault(node.name, np.zeros((cells, *node.shape[1:]), np.float32))
            given[node.name] = cache[: dims.get(node.shape[0], cells)]
        names = [node.name for node in session.get_outputs()]
        found = dict(zip(names, session.run(names, given), strict=True))
        for key in [key for key in found if key.endswith(".next")]:
            value = found.pop(key)
            self.caches[key.removesuffix(".next")][: len(value)] = value
        return name, found


KINDS = {"tensor(int64)": np.int64, "tensor(float)": np.float32, "tensor(bool)": np.bool_}


def check(runs: list[Run], directory: Path) -> set[str]:
    """Run all of it again; which files did."""
    exported, used = Exported(directory), set()
    for graph, inputs, dims, expected in runs:
        name, found = exported.run(graph, inputs, dims)
        used.add(name)
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            known = np.isfinite(value)
            assert (np.isfinite(found[key]) == known).all()
            np.testing.assert_allclose(found[key][known], value[known], rtol=0, atol=2e-5 * np.abs(value[known]).max())
    return used


@pytest.mark.parametrize("windows", [None, [None, 8]], ids=["llama", "windows"])
def test_a_text_that_slides(windows: list[int | None] | None, tmp_path: Path, runs: list[Run]) -> None:
    path = tmp_path / "a.gguf"
    write_random_llama(path) if windows is None else write_random_qwen2(path, windows)
    with ollamax.load(path, backend="cpu", num_ctx=32) as model:
        list(model.generate("abcdefghij", num_predict=60, temperature=0))
    assert len(runs) > 20
    assert check(runs, export(str(path), "onnx", tmp_path / "out")) == {"step", "shift"}


@pytest.mark.reference
def test_pictures(mllama_checkpoint: Path, tmp_path: Path, runs: list[Run]) -> None:
    with ollamax.load(mllama_checkpoint, backend="cpu", num_ctx=64, num_images=2) as model:
        images = [PICTURES[name] for name in ("wide", "small")]
        message = {"role": "user", "content": "a b", "images": images}
        list(model.chat([message], stream=True, max_tokens=12, temperature=0))
        list(model.generate("a b c", num_predict=3))
    directory = export(str(mllama_checkpoint), "onnx", tmp_path / "out", num_images=2)
    assert check(runs, directory) == {"step", "encode", "step-with-pictures"}
