"""The poem plugin does what every architecture and every package must do."""

from pathlib import Path

from ollamax.testing.architecture_suite import ArchitectureSuite
from ollamax.testing.plugin_suite import PluginSuite
from ollamax.testing.random_checkpoint import RandomCheckpoint


class TestPoem(ArchitectureSuite):
    checkpoint = RandomCheckpoint.read(Path(__file__).with_name("checkpoint.json"))
    golden = None  # Path(__file__).with_name("golden"), once ollamax trace --reference --save wrote one


class TestPackage(PluginSuite):
    package = "ollamax-plugin-poem"
