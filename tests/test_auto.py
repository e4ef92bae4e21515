"""Which processor backend ``auto`` takes of those that this repository has, by their own figures."""

import pytest
from random_llama import write_random_llama

import ollamax
from ollamax.backend import Probe
from ollamax.backend.ranking import SMALL, rank, safe_probe
from ollamax.errors import BackendError
from ollamax.gguf import open_gguf
from ollamax.plugins import get_registry
from ollamax.types import DType


@pytest.fixture(scope="module")
def probes():
    """What each backend says of the processor."""
    known = {name: get_registry().backends[name] for name in ("cpu", "ggml", "metal", "onnx")}
    found = {name: safe_probe(backend).devices for name, backend in known.items()}
    return {name: Probe(tuple(one for one in devices if one.name == "cpu")) for name, devices in found.items()}


@pytest.mark.parametrize(
    ("stored", "first"),
    [
        ({DType.Q4_0: 700 << 20, DType.Q6_K: 200 << 20, DType.F32: 1 << 20}, "ggml"),
        ({DType.Q4_K: 600 << 20, DType.Q6_K: 200 << 20, DType.F32: 1 << 20}, "ggml"),
        ({DType.Q8_0: 600 << 20, DType.F32: 1 << 20}, "onnx"),
        ({DType.IQ4_XS: 600 << 20}, "ggml"),
        ({DType.F16: 600 << 20}, "ggml"),
        ({DType.Q8_0: SMALL - 1}, "ggml"),
    ],
    ids=["Q4_0", "Q4_K_M", "Q8_0", "IQ4_XS", "F16", "small"],
)
def test_the_fastest_for_the_model_comes_first(probes, stored, first):
    places = rank(probes, stored)
    assert places[0].backend == first
    assert {place.backend for place in places} == {"cpu", "ggml", "onnx"}


def test_every_figure_says_where_it_was_measured(probes):
    rates = [device.rates for name in ("cpu", "ggml", "onnx") for device in probes[name].devices]
    assert all("x86_64" in found.measured and "benchmarks/" in found.measured for found in rates)


def test_layers_for_a_graphics_processor_ask_for_a_backend_that_splits(tmp_path, monkeypatch):
    monkeypatch.setattr("ollamax.backend.ranking.SMALL", 0)  # by rates, onnx comes first for Q8_0
    path = write_random_llama(tmp_path / "a.gguf", dtype=DType.Q8_0)
    registry = get_registry()
    with open_gguf(path) as source:
        assert registry.backend("auto", source).name == "onnx"
        assert registry.backend("auto", source, splitting=True).name == "ggml"
        assert registry.backend("onnx", source, splitting=True).name == "onnx"
    with pytest.raises(BackendError, match="no graphics processor; set num_gpu to 0"):
        ollamax.load(path, num_gpu=1)
