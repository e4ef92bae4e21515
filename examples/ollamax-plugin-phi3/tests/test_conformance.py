"""The phi3 plugin does what every architecture and every package must do."""

from pathlib import Path

from ollamax.testing.architecture_suite import ArchitectureSuite
from ollamax.testing.plugin_suite import PluginSuite
from ollamax.testing.random_checkpoint import RandomCheckpoint

HERE = Path(__file__).parent


class TestPhi3(ArchitectureSuite):
    """With a window; the golden trace is shorter than the original context, and longer than the window."""

    checkpoint = RandomCheckpoint.read(HERE / "checkpoint.json")
    golden = HERE / "golden"


class TestPhi3BeyondItsOriginalContext(ArchitectureSuite):
    """Tied, without a window; the golden trace is longer than the original context, and takes the long factors."""

    checkpoint = RandomCheckpoint.read(HERE / "checkpoint-long.json")
    golden = HERE / "golden-long"


class TestPackage(PluginSuite):
    package = "ollamax-plugin-phi3"
