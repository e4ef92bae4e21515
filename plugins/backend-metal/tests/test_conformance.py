"""The metal backend does what every backend and every package must do."""

from ollamax.testing.backend_suite import BackendSuite
from ollamax.testing.plugin_suite import PluginSuite
from ollamax_backend_metal.backend import Metal


class TestMetal(BackendSuite):
    backend = Metal


class TestPackage(PluginSuite):
    package = "ollamax-backend-metal"
