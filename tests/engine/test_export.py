"""Exported models, run by ONNX Runtime alone."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument
from random_llama import write_random_llama
from random_qwen2 import write_random_qwen2

import ollamax
from ollamax.cli.main import main
from ollamax.engine.export import export
from ollamax.errors import BackendError
from ollamax.types import DType

CELLS = 48


class Plain:
    """A step that nothing of ollamax runs: NumPy arrays in and out."""

    def __init__(self, path: Path) -> None:
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        shapes = {node.name: node.shape for node in self.session.get_inputs()}
        self.states = {name: np.zeros((CELLS, *shape[1:]), np.float32) for name, shape in shapes.items() if "." in name}
        self.positions = np.full((1, CELLS), -1)

    def logits(self, tokens: list[int]) -> np.ndarray:
        start = int((self.positions >= 0).sum())
        places = np.arange(start, start + len(tokens))[None]
        self.positions[0, places] = places
        names = ["logits", *(f"{name}.next" for name in self.states)]
        inputs = {
            "tokens": np.array([tokens]),
            "positions": places,
            "rows": places,
            "key_positions": self.positions,
            "slots": np.array([0]),
            "outputs": np.arange(len(tokens))[None],
        }
        found, *states = self.session.run(names, {**inputs, **self.states})
        self.states = dict(zip(self.states, states, strict=True))
        return np.asarray(found[0])


def test_operations_are_in_the_order_that_onnx_wants(tmp_path: Path) -> None:
    model = onnx.load(export("demo", "onnx", tmp_path / "demo") / "step.onnx", load_external_data=False).graph
    known = {"", *(one.name for one in (*model.input, *model.initializer))}
    for node in model.node:
        assert known.issuperset(node.input)
        known.update(node.output)


@pytest.mark.parametrize("dtype", [DType.F16, DType.Q4_0], ids=lambda dtype: dtype.name)
def test_large_weights_of_other_types_are_in_the_file(
    tmp_path: Path, dtype: DType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ollamax_backend_onnx.weight_files._SMALL", 64)
    monkeypatch.setattr("ollamax_backend_onnx.builder._INLINE", 64)
    path = write_random_llama(tmp_path / "a.gguf", dtype=dtype)
    plain = Plain(export(str(path), "onnx", tmp_path / "b") / "step.onnx")
    with ollamax.load(path, backend="onnx") as model:
        np.testing.assert_allclose(plain.logits([5, 17, 200]), model.logits([5, 17, 200]), rtol=1e-4, atol=1e-4)


def test_the_demo_model_tells_the_same_story_without_ollamax(tmp_path: Path) -> None:
    directory = export("demo", "onnx", tmp_path / "demo")
    assert sorted(path.name for path in directory.iterdir()) == ["shift.onnx", "step.onnx", "weights.data"]
    with ollamax.load("demo", backend="onnx") as model:
        prompt = model.tokenizer.encode("Once upon a time")
        chunks = list(model.generate(prompt, max_tokens=30, temperature=0))
    told = [chunk.token for chunk in chunks if chunk.token is not None]
    plain = Plain(directory / "step.onnx")
    found = [int(plain.logits(prompt)[-1].argmax())]
    while len(found) < len(told):
        found.append(int(plain.logits(found[-1:])[-1].argmax()))
    assert found == told


@pytest.mark.parametrize("dtype", [DType.F32, DType.F16, DType.Q4_0, DType.Q4_1, DType.Q8_0], ids=lambda d: d.name)
def test_weights_of_every_kind_are_looked_up_and_multiplied(dtype: DType, tmp_path: Path) -> None:
    path = write_random_llama(tmp_path / "a.gguf", dtype=dtype)
    ids = [5, 17, 200, 33, 91]
    with ollamax.load(path, backend="onnx") as model:
        expected = model.logits(ids)
    plain = Plain(export(str(path), "onnx", tmp_path / "out") / "step.onnx")
    np.testing.assert_allclose(plain.logits(ids), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    for beyond in (len(expected[0]), -len(expected[0]) - 1):
        with pytest.raises(InvalidArgument, match="out of data bounds"):
            plain.logits([beyond])


def test_files_point_nowhere_but_beside_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hostile file's names of tensors are never paths, and a small model's weights are external too."""
    monkeypatch.setattr("ollamax_backend_onnx.builder._INLINE", 0)
    directory = export(str(write_random_llama(tmp_path / "a.gguf")), "onnx", tmp_path / "out")
    model = onnx.load(directory / "step.onnx", load_external_data=False)
    large = [tensor for tensor in model.graph.initializer if tensor.external_data]
    assert len(large) > 10
    size = (directory / "weights.data").stat().st_size
    for tensor in large:
        entry = {item.key: item.value for item in tensor.external_data}
        assert entry["location"] == "weights.data"
        assert 0 <= int(entry["offset"]) <= size - int(entry["length"])
        assert int(entry["offset"]) % 4096 == 0  # a page, so that a runtime may map it
    assert Plain(directory / "step.onnx").logits([1, 2]).shape == (2, 258)


def check_inputs_are_documented(directory: Path) -> None:
    text = (Path(__file__).parents[2] / "plugins/backend-onnx/README.md").read_text("utf-8")
    for path in directory.glob("*.onnx"):
        graph = onnx.load(path, load_external_data=False).graph
        names = {re.sub(r"\.\d+\.", ".L.", node.name) for node in graph.input}
        assert not [name for name in names if f"`{name}" not in text], path.name


def test_windows_have_caches_of_their_own(tmp_path: Path) -> None:
    path = write_random_qwen2(tmp_path / "a.gguf", [None, 8])
    directory = export(str(path), "onnx", tmp_path / "out")
    names = {node.name for node in onnx.load(directory / "step.onnx", load_external_data=False).graph.input}
    assert {"window.0.key", "window_rows", "window_key_positions"} < names
    check_inputs_are_documented(directory)


@pytest.mark.reference
def test_a_model_that_sees_has_four_graphs(
    mllama_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ollamax_backend_onnx.builder._INLINE", 0)
    directory = export(str(mllama_checkpoint), "onnx", tmp_path / "out")
    graphs = sorted(path.stem for path in directory.glob("*.onnx"))
    assert graphs == ["encode", "shift", "step", "step-with-pictures"]
    for name in graphs:
        session = onnxruntime.InferenceSession(directory / f"{name}.onnx", providers=["CPUExecutionProvider"])
        assert ("logits" in {node.name for node in session.get_outputs()}) is name.startswith("step")
    check_inputs_are_documented(directory)
    written = [
        {tensor.name: tensor.external_data[1].value for tensor in model.graph.initializer if tensor.external_data}
        for model in (onnx.load(directory / f"{name}.onnx", load_external_data=False) for name in graphs[2:])
    ]
    assert len(written[0]) > 10
    assert written[0].items() <= written[1].items()  # what both steps have lies in the file once


def refused(capsys: pytest.CaptureFixture[str], status: int, *arguments: object) -> str:
    assert main(["export", *map(str, arguments)]) == status
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    return shown.err


def test_what_cannot_be_exported_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out"
    assert "backend cpu has no file format" in refused(capsys, 1, "demo", "--format", "cpu", target)
    assert "missing option '--format'" in refused(capsys, 2, "demo", target).lower()
    failing: Callable[..., None] = lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))  # noqa: E731
    monkeypatch.setattr("ollamax_backend_onnx.export.external", failing)
    assert "No space left on device" in refused(capsys, 1, "demo", "--format", "onnx", target)
    assert list(tmp_path.iterdir()) == []
    target.mkdir()
    (target / "kept").touch()
    assert "exists and is not an empty directory" in refused(capsys, 2, "demo", "--format", "onnx", target)


def test_what_a_model_asks_of_a_backend_is_asked_for_files_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BackendError, match="backend onnx does not split a model between processors; set num_gpu to 0"):
        export("demo", "onnx", tmp_path / "out", num_gpu=2)
    monkeypatch.setenv("OLLAMAX_DEVICE", "tpu")
    assert "has no device 'tpu'" in refused(capsys, 1, "demo", "--format", "onnx", tmp_path / "out")
    assert main(["trace", "demo", "-p", "hi", "--backend", "cpu"]) == 1
    assert "backend cpu has no device 'tpu'; it has: cpu" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_where_a_stored_model_wants_its_layers_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMAX_MODELS", str(tmp_path / "models"))
    write_random_llama(tmp_path / "a.gguf")
    (tmp_path / "Modelfile").write_text("FROM ./a.gguf\nPARAMETER num_gpu 9")
    assert main(["create", "mine", "-f", str(tmp_path / "Modelfile")]) == 0
    assert main(["export", "mine", "--format", "onnx", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "step.onnx").is_file()


def test_the_command_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "demo", "--format", "onnx", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out == f"exported demo to {tmp_path / 'out'}\n"
    assert (tmp_path / "out" / "step.onnx").is_file()
