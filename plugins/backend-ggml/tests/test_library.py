"""What the ggml backend says of the library that is installed, or is not, and that the process outlives its use."""

import json
import subprocess
import sys
import types

import pytest

from ollamax.backend import Probe
from ollamax.cli.main import main
from ollamax.errors import BackendError
from ollamax.plugins import manager
from ollamax_backend_ggml import library as module
from ollamax_backend_ggml.backend import GGML


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Tests that change what is found look again."""
    module.library.cache_clear()


def test_probe_finds_the_processor() -> None:
    probe = GGML.probe()
    assert probe.reason is None
    (device,) = probe.devices
    assert device.name == "cpu"
    assert "ggml 0.15." in device.kind
    assert device.memory is not None
    assert device.memory > 2**28


def test_probe_says_what_a_build_without_llamafile_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = module.library()
    monkeypatch.setattr(loaded, "cpu_has_llamafile", lambda: 0, raising=False)
    monkeypatch.setattr("ollamax_backend_ggml.features.library", lambda: loaded)
    (device,) = GGML.probe().devices
    assert device.advice.endswith(f"prompts slow with F32, F16 and Q8_0 weights: {module.INSTALL}")
    monkeypatch.setattr("ollamax_backend_ggml.features._FEATURES", ())
    (device,) = GGML.probe().devices
    assert device.advice.endswith(f"built without vector units, which makes everything slow: {module.INSTALL}")


def test_list_plugins_shows_what_would_be_faster(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module.library(), "cpu_has_llamafile", lambda: 0, raising=False)
    manager._manager.cache_clear()
    assert main(["list-plugins", "--json"]) == 0
    manager._manager.cache_clear()
    rows = {row["distribution"]: row for row in json.loads(capsys.readouterr().out)}
    assert "built without LLAMAFILE" in rows["ollamax-backend-ggml"]["notes"][-1]
    assert rows["ollamax-backend-ggml"]["status"] == "ok"


def reason(probe: Probe) -> str:
    assert not probe.devices
    assert probe.reason
    assert "\n" not in probe.reason
    return probe.reason


def test_probe_says_how_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ggml", None)
    text = reason(GGML.probe())
    assert "cannot be imported" in text
    assert "C++ compiler" in text
    assert module.INSTALL in text
    with pytest.raises(BackendError, match="cannot be imported"):
        GGML()


def test_probe_says_that_the_library_is_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(types.ModuleType):
        def __getattr__(self, name: str) -> object:
            raise RuntimeError("Failed to load shared library")

    monkeypatch.setitem(sys.modules, "ggml", Broken("ggml"))
    assert "damaged (Failed to load" in reason(GGML.probe())


@pytest.mark.parametrize(
    ("function", "value", "message"),
    [
        ("version", b"0.16.1", "the library is ggml 0.16.1, expected 0.15.x or 0.25.x"),
        ("tensor_overhead", 400, "a tensor takes 400 bytes in the library, 368 in its bindings"),
        ("type_size", 1, "blocks of .* are .* in the library"),
    ],
)
def test_probe_refuses_another_abi(function: str, value: object, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = module.Library._function

    def changed(self: module.Library, name: str) -> object:
        return (lambda *_: value) if name == f"ggml_{function}" else whole(self, name)

    monkeypatch.setattr(module.Library, "_function", changed)
    text = reason(GGML.probe())
    assert text.startswith("ggml-python does not fit this package")
    with pytest.raises(BackendError, match=message):
        module.library()


def test_pointers_keep_their_upper_half() -> None:
    """The bindings declare some as a NewType, of which ctypes makes a 32-bit number."""
    loaded = module.library()
    kind = loaded.backend_cpu_buffer_type()
    assert loaded.backend_buft_name(kind) == b"CPU"


CTRL_C = """
import os, signal, threading
import numpy as np
from ollamax.ml import Graph, Kind
from ollamax.ml.tensor import graph_input
from ollamax_backend_ggml.backend import GGML
from ollamax_backend_ggml.library import library

x = graph_input("x", ("N", "T", 64), Kind.FLOAT)
for _ in range(2000):
    x = x * x
backend = GGML()
program = backend.compile(Graph({"out": x}))
begun, compute = threading.Event(), library().backend_graph_compute

def announced(*arguments):
    begun.set()
    return compute(*arguments)

library().backend_graph_compute = announced
threading.Thread(target=lambda: begun.wait() and os.kill(os.getpid(), signal.SIGINT)).start()
try:
    program.run({"x": np.ones((64, 512, 64), np.float32)}, {"N": 64, "T": 512})
except KeyboardInterrupt:
    print("interrupted")
small = {"x": np.ones((1, 2, 64), np.float32)}
print(program.run(small, {"N": 1, "T": 2})["out"].sum())
backend.close()
"""


def test_ctrl_c_ends_a_long_computation_and_the_backend_goes_on() -> None:
    done = subprocess.run([sys.executable, "-c", CTRL_C], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["interrupted", "128.0"]
