"""The newer ggml of llama-cpp-python under the ggml backend: its own tests pass with it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.llama_cpp

ROOT = Path(__file__).parents[2]


def test_the_tests_of_the_backend_pass_on_the_library_of_llama_cpp_python() -> None:
    tests = [
        str(ROOT / "plugins/backend-ggml/tests" / name)
        for name in ("test_conformance.py", "test_ops.py", "test_types.py", "test_backend.py")
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-cov", *tests],
        cwd=ROOT,
        env={**os.environ, "OLLAMAX_GGML_LIBRARY": "llama_cpp"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    probed = subprocess.run(
        [sys.executable, "-c", "from ollamax_backend_ggml.backend import GGML; print(GGML.probe().devices[0].kind)"],
        env={**os.environ, "OLLAMAX_GGML_LIBRARY": "llama_cpp"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "ggml 0.25." in probed.stdout
