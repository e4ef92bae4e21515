"""What the installed library makes of the processor."""

from __future__ import annotations

from importlib.util import find_spec

from ollamax.backend import Device
from ollamax.backend.hardware import total_memory
from ollamax_backend_ggml.builds import VARIABLE, VERSIONS
from ollamax_backend_ggml.graphics import device_memory, device_text, find_device
from ollamax_backend_ggml.library import INSTALL, Library, library
from ollamax_backend_ggml.rates import measured_rates

_FEATURES = ("avx2", "avx512", "avx512_vnni", "avx512_bf16", "amx_int8", "neon", "dotprod", "matmul_int8", "sve")

PROCESSOR = "cpu"
"""The processor's name as a device."""

RANK = 10.0
"""Above the NumPy backend, below graphics processors."""


GRAPHICS_RANK = 100.0
"""Of a graphics processor."""


def describe() -> tuple[Device, ...]:
    """The processor, and a graphics processor where there is one; raises BackendError without a library."""
    loaded = library()
    found = [name for name in _FEATURES if getattr(loaded, f"cpu_has_{name}")()]
    text = f"CPU by ggml {loaded.version().decode()} ({' '.join(found) or 'no vector units'})"
    processor = Device(PROCESSOR, text, total_memory(), RANK, measured_rates(loaded), advice=_advice(loaded, found))
    device = find_device(loaded)
    if device is None:
        return (processor,)
    name = loaded.backend_dev_name(device).decode("utf-8", "replace")
    kind = f"{device_text(loaded, device)} by ggml {loaded.version().decode()}"
    return processor, Device(name, kind, device_memory(loaded, device)[1], GRAPHICS_RANK)


def _advice(loaded: Library, features: list[str]) -> str:
    """What of the build costs speed, with the command that mends it."""
    found = []
    if not loaded.version().decode().startswith(VERSIONS[-1]) and find_spec("llama_cpp"):
        found.append(f"{VARIABLE}=llama_cpp takes the newer ggml of llama-cpp-python, which is faster with K-quants")
    if not loaded.cpu_has_llamafile():
        found.append(f"built without LLAMAFILE, which makes prompts slow with F32, F16 and Q8_0 weights: {INSTALL}")
    if not features:
        found.append(f"built without vector units, which makes everything slow: {INSTALL}")
    return "; ".join(found)
