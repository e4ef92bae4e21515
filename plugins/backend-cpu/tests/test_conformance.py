"""The cpu backend does what every backend must do."""

from ollamax.testing.backend_suite import BackendSuite
from ollamax_backend_cpu.backend import CPU


class TestCPU(BackendSuite):
    backend = CPU
