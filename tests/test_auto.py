"""Which processor backend ``auto`` takes of those that this repository has, by their own figures."""

import pytest

from ollamax.backend import Probe
from ollamax.backend.ranking import SMALL, rank, safe_probe
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
