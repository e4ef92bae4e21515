"""The abacus backend does what every backend and every package must do."""

from ollamax.testing.backend_suite import BackendSuite
from ollamax.testing.plugin_suite import PluginSuite
from ollamax_backend_abacus.backend import Abacus


class TestAbacus(BackendSuite):
    backend = Abacus


class TestPackage(PluginSuite):
    package = "ollamax-backend-abacus"
