"""The qwen2 plugin does what every architecture and every package must do."""

from pathlib import Path

from ollamax.testing.architecture_suite import ArchitectureSuite
from ollamax.testing.plugin_suite import PluginSuite
from ollamax.testing.random_checkpoint import RandomCheckpoint

HERE = Path(__file__).parent


class TestQwen2(ArchitectureSuite):
    checkpoint = RandomCheckpoint.read(HERE / "checkpoint.json")
    golden = HERE / "golden"


class TestPackage(PluginSuite):
    package = "ollamax-plugin-qwen2"
