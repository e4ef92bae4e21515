"""The MLX backend's devices, options and errors."""

import subprocess
import sys

import pytest

from ollamax.backend import BackendOptions, Device, Probe
from ollamax.backend.ranking import choose
from ollamax.errors import BackendError
from ollamax_backend_cpu.backend import CPU
from ollamax_backend_metal.backend import Metal
from ollamax_backend_metal.runtime import compiles


def test_a_number_of_threads_is_refused() -> None:
    with pytest.raises(BackendError, match="MLX chooses its number of threads itself; leave num_thread out"):
        Metal(BackendOptions(threads=2))


@pytest.mark.parametrize(("device", "default"), [("cpu", False), ("metal", True), ("cuda", True)])
def test_programs_are_compiled_on_graphics_processors_or_as_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, device: str, default: bool
) -> None:
    for value, expected in (("", default), ("0", False), ("1", True)):
        monkeypatch.setenv("OLLAMAX_METAL_COMPILE", value)
        assert compiles(Device(device, device, memory=None, rank=1.0)) is expected
    monkeypatch.delenv("OLLAMAX_METAL_COMPILE")
    assert compiles(Device(device, device, memory=None, rank=1.0)) is default


def test_a_wish_to_compile_that_cannot_be_met_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMAX_METAL_COMPILE", "yes")
    with pytest.raises(BackendError, match="OLLAMAX_METAL_COMPILE is 'yes'; set it to 1 to compile programs, to 0 not"):
        Metal(BackendOptions(device="cpu"))
    monkeypatch.setenv("OLLAMAX_METAL_COMPILE", "1")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BackendError, match=r"OLLAMAX_METAL_COMPILE is 1, but MLX compiles for a processor with g\+\+"):
        Metal(BackendOptions(device="cpu"))


def test_probe_ranks_a_processor_below_numpy_and_a_graphics_processor_above(monkeypatch: pytest.MonkeyPatch) -> None:
    (numpy,) = CPU.probe().devices
    ranks = {device.name: device.rank for device in Metal.probe().devices}
    assert ranks["cpu"] < numpy.rank
    assert all(rank > numpy.rank for name, rank in ranks.items() if name != "cpu")
    assert choose({"cpu": CPU, "metal": OnProcessor}) is CPU
    with pytest.raises(BackendError, match=r"slower than every other backend \(--backend metal takes it\)"):
        choose({"metal": OnProcessor})
    monkeypatch.setattr("mlx.core.metal.is_available", lambda: True)
    monkeypatch.setattr("mlx.core.device_info", lambda device: {"device_name": "Apple M4", "memory_size": 2**34})
    first = Metal.probe().devices[0]
    assert (first.name, first.kind, first.memory) == ("metal", "Apple M4 (MLX)", 2**34)
    assert first.rank > numpy.rank


class OnProcessor(Metal):
    """MLX without a graphics processor."""

    @classmethod
    def probe(cls) -> Probe:
        return Probe(tuple(device for device in Metal.probe().devices if device.name == "cpu"))


def test_a_library_that_does_not_load_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlx.core", None)
    probe = Metal.probe()
    assert not probe.devices
    assert "\n" not in str(probe.reason)
    with pytest.raises(
        BackendError, match=r"backend metal cannot run here: MLX cannot be loaded on .*; it runs on Apple"
    ):
        choose({"metal": Metal}, "metal")
    with pytest.raises(BackendError, match="cannot be loaded"):
        Metal()


def test_importing_the_hook_loads_no_library() -> None:
    code = "import sys; from ollamax_backend_metal.plugin import ollamax_backends; ollamax_backends(); "
    code += "sys.exit('mlx' in sys.modules or 'numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
