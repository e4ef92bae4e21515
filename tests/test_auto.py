"""Which processor backend ``auto`` takes of those that this repository has, by their own figures."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from random_llama import write_random_llama

import ollamax
from ollamax.backend import Probe, Rate, Rates
from ollamax.backend.ranking import SMALL, rank, safe_probe
from ollamax.errors import BackendError
from ollamax.gguf import open_gguf
from ollamax.plugins import get_registry
from ollamax.types import DType
from ollamax_backend_ggml.rates import measured_rates


@pytest.fixture(params=[True, False], ids=["llamafile", "plain"])
def probes(request):
    """What each backend says of the processor, with ggml built in either way."""
    library = SimpleNamespace(version=lambda: b"0.15.3", cpu_has_llamafile=lambda: request.param)
    known = {name: get_registry().backends[name] for name in ("cpu", "ggml", "metal", "onnx")}
    found = {name: safe_probe(backend).devices for name, backend in known.items()}
    processors = {name: [one for one in devices if one.name == "cpu"] for name, devices in found.items()}
    processors["ggml"] = [replace(one, rates=measured_rates(library)) for one in processors["ggml"]]
    return {name: Probe(tuple(devices)) for name, devices in processors.items()}


@pytest.mark.parametrize(
    ("stored", "first"),
    [
        ({DType.Q4_0: 700 << 20, DType.Q6_K: 200 << 20, DType.F32: 1 << 20}, ("ggml", "ggml")),
        ({DType.Q4_K: 600 << 20, DType.Q6_K: 200 << 20, DType.F32: 1 << 20}, ("ggml", "ggml")),
        ({DType.Q8_0: 600 << 20, DType.F32: 1 << 20}, ("ggml", "onnx")),
        ({DType.IQ4_XS: 600 << 20}, ("ggml", "ggml")),
        ({DType.F16: 600 << 20}, ("ggml", "ggml")),
        ({DType.Q8_0: SMALL - 1}, ("ggml", "ggml")),
    ],
    ids=["Q4_0", "Q4_K_M", "Q8_0", "IQ4_XS", "F16", "small"],
)
def test_the_fastest_for_the_model_comes_first(probes, stored, first):
    """``first`` with LLAMAFILE, and without."""
    plain = "without LLAMAFILE" in probes["ggml"].devices[0].rates.measured
    places = rank(probes, stored)
    assert places[0].backend == first[plain]
    assert {place.backend for place in places} == {"cpu", "ggml", "onnx"}


def test_every_figure_says_where_it_was_measured(probes):
    rates = [device.rates for name in ("cpu", "ggml", "onnx") for device in probes[name].devices]
    assert all("x86_64" in found.measured and "benchmarks/" in found.measured for found in rates)


def test_layers_for_a_graphics_processor_ask_for_a_backend_that_splits(tmp_path, monkeypatch):
    monkeypatch.setattr("ollamax.backend.ranking.SMALL", 0)
    monkeypatch.setattr("ollamax_backend_onnx.rates.RATES", Rates({"Q8_0": Rate(9.0, 9.0)}, "in a dream"))
    path = write_random_llama(tmp_path / "a.gguf", dtype=DType.Q8_0)
    registry = get_registry()
    with open_gguf(path) as source:
        assert registry.backend("auto", source).name == "onnx"
        assert registry.backend("auto", source, splitting=True).name == "ggml"
        assert registry.backend("onnx", source, splitting=True).name == "onnx"
    with pytest.raises(BackendError, match="no graphics processor; set num_gpu to 0"):
        ollamax.load(path, num_gpu=1)
