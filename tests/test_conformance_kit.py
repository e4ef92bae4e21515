"""The conformance suites find what is wrong, and say what they need."""

import subprocess
import sys
from pathlib import Path

import pytest

FAULTY = """
from ollamax.testing.backend_suite import BackendSuite
from ollamax_backend_cpu import kernels, states, weights
from ollamax_backend_cpu.backend import CPU

{fault}

class TestFaulty(BackendSuite):
    backend = CPU
"""
FAULTS = {
    "an op": (
        "plain = kernels.Builder.kernel\n"
        "def kernel(self, node):\n"
        "    found = plain(self, node)\n"
        "    return (lambda *given: found(*given) + 1e-3) if node.op is kernels.Op.TANH else found\n"
        "kernels.Builder.kernel = kernel",
        "test_an_op_equals_the_reference",
    ),
    "a copy": ("states.CPUState.copy_rows = lambda *_: None", "test_rows_are_copied_read_and_replaced"),
    "a slot": (
        "plain = states.CPUState.write\n"
        "states.CPUState.write = lambda self, slots, *more: plain(self, slots * 0, *more)",
        "test_a_state_outlives_a_run_and_is_shared_by_programs",
    ),
    "weights": (
        "plain = weights.Weights._values\nweights.Weights._values = lambda self, stored: plain(self, stored) * 1.001",
        "test_rows_and_products",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_fails_the_test_that_is_about_it(name: str, tmp_path: Path) -> None:
    fault, test = FAULTS[name]
    path = tmp_path / "test_faulty.py"
    path.write_text(FAULTY.format(fault=fault), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path)
    assert done.returncode == 1, done.stdout[-2000:]
    assert f"FAILED test_faulty.py::TestFaulty::{test}" in done.stdout


def test_without_pytest_one_line_says_what_to_install() -> None:
    code = "import sys; sys.modules['pytest'] = None; import ollamax.testing.backend_suite"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "conformance suites need pytest; try: pip install 'ollamax-core[testing]'" in done.stderr.splitlines()[-1]
