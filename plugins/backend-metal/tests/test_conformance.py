"""The metal backend does what every backend and every package must do."""

import pytest

from ollamax.testing.backend_suite import BackendSuite
from ollamax.testing.plugin_suite import PluginSuite
from ollamax_backend_metal.backend import Metal


@pytest.mark.usefixtures("form")
class TestMetal(BackendSuite):
    backend = Metal


class TestPackage(PluginSuite):
    package = "ollamax-backend-metal"
