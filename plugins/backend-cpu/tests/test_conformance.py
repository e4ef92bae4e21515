"""The cpu backend does what every backend and every package must do."""

from ollamax.testing.backend_suite import BackendSuite
from ollamax.testing.plugin_suite import PluginSuite
from ollamax_backend_cpu.backend import CPU


class TestCPU(BackendSuite):
    backend = CPU


class TestPackage(PluginSuite):
    package = "ollamax-backend-cpu"
