"""The mllama plugin does what every package must do."""

from ollamax.testing.plugin_suite import PluginSuite


class TestPackage(PluginSuite):
    package = "ollamax-plugin-mllama"
